"""The shuffle service of a worker: serves the session directories of its executors, also of those that are gone.

The worker starts it in an env of its own, says which applications run (`add_application`), and removes them when they
end; an executor registers its session directory when it starts, and from then on that directory's map outputs belong
to the service: the executor's janitor leaves them (`StartZygote.kept`). What is registered is kept in files, so that
a service that starts again in the same place serves on. Source: Spark's ExternalShuffleService.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Final

from minispark.conf import SparkConf
from minispark.errors import MiniSparkError, ProtocolError
from minispark.ids import ApplicationId
from minispark.messages.task import BlockManagerId
from minispark.messages.transfer import RegisterDirectory, Taken
from minispark.rpc.bulk import BulkChannel
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.world import World
from minispark.shuffle.logic.served import ServedApplication, ServedApplications, from_json
from minispark.shuffle.serving import MapOutputServer
from minispark.storage.transfer import BlockFiles, BlockService, Transfer, expect, realm_of

__all__ = ["ShuffleService", "register_directory", "start_shuffle_service"]

logger = logging.getLogger(__name__)

REGISTRATIONS: Final = "shuffle-service"


class ShuffleService:
    """The shuffle service of one host; made by `start_shuffle_service`.

    Args:
        env: listens.
        state_directory: where registrations are kept; None: nowhere.

    Attributes:
        address: where it listens.
        applications: whom it serves.
    """

    def __init__(self, env: RpcEnv, state_directory: Path | None) -> None:
        self.env = env
        self.world = env.world
        self.state_directory = state_directory
        self.applications = ServedApplications()
        blocks = BlockService(env, env.secrets)  # each application gets its own files alone
        MapOutputServer(env.world, self.applications).add_to(blocks)
        BlockFiles(env.world, self.applications).add_to(blocks)
        blocks.add(RegisterDirectory, self.register)

    @property
    def address(self) -> RpcAddress:
        """Where it listens."""
        assert self.env.address is not None
        return self.env.address

    def add_application(self, app_id: ApplicationId, realm: str, secret: bytes, directory: Path) -> None:
        """Serve an application whose executors run on this host from now on; again is no harm.

        Args:
            app_id: its id.
            realm: the name of its secret.
            secret: what its processes prove.
            directory: the session directories of its executors are somewhere below it.
        """
        self.env.add_realm(realm, secret)
        self.applications.add(app_id, realm, str(directory))

    async def remove_application(self, app_id: ApplicationId) -> None:
        """Let an application go: nobody of it gets in any more, and what its executors left here is removed."""
        application = self.applications.remove(app_id)
        if application is not None:
            self.env.remove_realm(application.realm)
            await self.world.run_blocking(remove_files, application, self.state_path(application))

    async def register(self, channel: BulkChannel, request: RegisterDirectory) -> None:
        """Serve an executor's session directory from now on."""
        application = self.applications.of(realm_of(channel))
        before = application.executors.get(request.executor_id)
        directory = application.register(request.executor_id, request.path)
        try:
            await self.world.run_blocking(check_session, directory, application.directory)
        except OSError as error:
            if before is None:
                application.executors.pop(request.executor_id, None)
            else:
                application.executors[request.executor_id] = before
            raise ProtocolError(f"{directory} is not a session directory: {error}") from error
        await self.save(application)
        logger.info("executor %s of %s: %s is served", request.executor_id, application.app_id, directory)
        await channel.send(Taken())

    async def save(self, application: ServedApplication) -> None:
        """Keep an application's registrations in its file."""
        path = self.state_path(application)
        if path is not None:
            await self.world.run_blocking(write_atomically, path, application.to_json())

    def state_path(self, application: ServedApplication) -> Path | None:
        """Return where an application's registrations are kept."""
        return None if self.state_directory is None else self.state_directory / f"{application.realm}.json"

    def recover(self, secret_of: Callable[[str], bytes]) -> None:
        """Serve again what a service in the same place served before. Blocking, at the start."""
        if self.state_directory is None:
            return
        self.state_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in sorted(self.state_directory.glob("*.json")):
            try:
                application = from_json(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                logger.warning("%s is passed over: %s", path, error)
                continue
            self.applications.by_realm[application.realm] = application
            self.env.add_realm(application.realm, secret_of(application.realm))

    async def close(self) -> None:
        """Serve no more; the files stay, for a service that starts again."""
        await self.env.close()


async def start_shuffle_service(
    world: World,
    conf: SparkConf,
    host: str,
    work_directory: Path,
    secret_of: Callable[[str], bytes],
    *,
    advertised_host: str | None = None,
    server_tls: ssl.SSLContext | None = None,
) -> ShuffleService:
    """Start a worker's shuffle service on `minispark.shuffle.service.port`, in an env of its own.

    Args:
        world: the worker's.
        conf: the worker's settings.
        host: what to listen on.
        work_directory: the worker's; with `minispark.shuffle.service.db.enabled` registrations are kept there.
        secret_of: an application's secret, from its realm.
        advertised_host: what peers connect to, if it is not `host`.
        server_tls: makes connections TLS.

    Raises:
        MiniSparkError: it cannot listen there.
    """
    env = RpcEnv("shuffle service", world, conf, realm=REGISTRATIONS, server_tls=server_tls)
    service = ShuffleService(env, work_directory / REGISTRATIONS if conf.shuffle_service_db else None)
    try:
        service.recover(secret_of)
        await env.listen(host, conf.shuffle_service_port, advertised_host=advertised_host)
    except BaseException:
        await env.close()
        raise
    return service


async def register_directory(transfer: Transfer, service: RpcAddress, location: BlockManagerId, below: Path) -> None:
    """Have the shuffle service of this host serve an executor's session directory, when the executor starts.

    Args:
        transfer: the executor's.
        service: where the service listens.
        location: the executor and its session directory.
        below: the directory that the worker gave the application.

    Raises:
        MiniSparkError: the service cannot be reached, or refuses.
        ValueError: the session directory is somewhere else.
    """
    path = str(PurePath(location.directory).relative_to(below))
    try:
        async with (
            transfer.channel(service) as channel,
            asyncio.timeout(transfer.env.conf.shuffle_registration_timeout),
        ):
            await channel.send(RegisterDirectory(location.executor_id, path))
            await expect(channel, Taken)
    except TimeoutError:
        raise MiniSparkError(f"the shuffle service at {service} does not answer") from None


def check_session(directory: str, below: str) -> None:
    """Look whether this is a session directory below that one.

    Raises:
        OSError: it is not.
    """
    found = Path(directory).resolve(strict=True)
    if Path(below).resolve() not in found.parents or not (found / "token").is_file():
        raise FileNotFoundError(f"no session directory below {below}")


def remove_files(application: ServedApplication, state_path: Path | None) -> None:
    """Remove an application's session directories and registrations."""
    for path in application.executors.values():
        shutil.rmtree(os.path.join(application.directory, path), ignore_errors=True)
    if state_path is not None:
        with contextlib.suppress(OSError):
            state_path.unlink()


def write_atomically(path: Path, text: str) -> None:
    """Write a file that readers see whole or not at all."""
    temporary = path.with_name(f"{path.name}.tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
