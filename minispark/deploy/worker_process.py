"""A worker as a whole: its env, directory, launcher, shuffle service and endpoint. Composed here.

Called by `minispark worker`, by local clusters in the driver's process, and by simulations, which hand in a launcher
and a work directory of their own.
"""

import asyncio
import logging
import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from minispark.conf import SparkConf
from minispark.cores import available_cores
from minispark.deploy.executor_runner import Place
from minispark.deploy.host_memory import default_memory
from minispark.deploy.logic.registration import Registration
from minispark.deploy.process_log import LogRoller
from minispark.deploy.processes import ProcessLauncher, SystemLauncher
from minispark.deploy.secrets import SECRET_VARIABLE
from minispark.deploy.tenants import ShuffleHost, Tenants
from minispark.deploy.work_directory import WorkDirectory
from minispark.deploy.worker import WORKER, Offer, Worker
from minispark.ids import WorkerId
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.secrets import CLUSTER_REALM, application_secret
from minispark.rpc.world import World
from minispark.shuffle.service import ShuffleService, start_shuffle_service
from minispark.storage.memory_folder import sweep_memory

__all__ = ["WorkerOptions", "WorkerProcess", "start_worker"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerOptions:
    """How a worker is to be.

    Args:
        masters: where masters may be.
        directory: where the files of executors and drivers go.
        host: what it listens on.
        port: of that; 0: any.
        advertised_host: the name that peers are told instead of `host`.
        cores: that it offers; 0: all that this process may use.
        memory_bytes: that it offers; 0: all but one GiB.
        web_url: of its pages; empty if it has none.
        server_tls: makes the connections of peers TLS.
        client_tls: makes the connections to peers TLS.
    """

    masters: Sequence[RpcAddress]
    directory: Path | WorkDirectory
    host: str = "127.0.0.1"
    port: int = 0
    advertised_host: str | None = None
    cores: int = 0
    memory_bytes: int = 0
    web_url: str = ""
    server_tls: ssl.SSLContext | None = None
    client_tls: ssl.SSLContext | None = None


class WorkerProcess:
    """A worker that was started.

    Attributes:
        env: the worker's.
        worker: the endpoint.
        service: its shuffle service, if it has one.
        reason: why it ended by itself: empty when it was done.
    """

    def __init__(self, env: RpcEnv, service: ShuffleHost | None, launcher: ProcessLauncher) -> None:
        self.env = env
        self.service = service
        self.launcher = launcher
        self.reason: asyncio.Future[str] = env.loop.create_future()
        self.worker: Worker | None = None

    @property
    def address(self) -> RpcAddress:
        """Where it listens."""
        assert self.env.address is not None
        return self.env.address

    @property
    def title(self) -> str:
        """One line for people."""
        assert self.worker is not None
        offer = self.worker.offer
        return f"worker at {self.address} with {offer.cores} cores and {offer.memory_bytes >> 20} MiB"

    def end(self, reason: str) -> None:
        """Take note that the worker cannot go on, or is done; the first reason counts."""
        if not self.reason.done():
            self.reason.set_result(reason)

    async def ended(self) -> str:
        """Return, when it has ended by itself, why; empty: it was decommissioned and is done."""
        return await asyncio.shield(self.reason)

    def decommission(self) -> None:
        """Take nothing new and end when all is done; `ended` tells."""
        assert self.worker is not None
        self.worker.decommission()

    async def stop(self) -> None:
        """End all that runs here, and the worker."""
        if self.worker is not None:
            await self.worker.tenants.end_all()
        if self.service is not None:
            await self.service.close()
        await self.env.close()


async def start_worker(
    world: World,
    conf: SparkConf,
    options: WorkerOptions,
    secret: bytes,
    *,
    launcher: ProcessLauncher | None = None,
    environment: Mapping[str, str] | None = None,
) -> WorkerProcess:
    """Start a worker; it has begun to look for a master when this returns.

    Args:
        world: clock, network, processes.
        conf: settings of the worker.
        options: what it offers, and where it is.
        secret: of the cluster.
        launcher: starts processes; by default real ones.
        environment: what executors and drivers find in theirs; by default this process's, cleaned.

    Raises:
        ConfigurationError: its directory cannot be written to.
        MiniSparkError: it cannot listen.
    """
    directory = options.directory
    if not isinstance(directory, WorkDirectory):
        directory = await world.run_blocking(WorkDirectory, directory)
        await world.run_blocking(sweep_memory)
    env = RpcEnv(
        "worker", world, conf, secret=secret, realm=CLUSTER_REALM,
        server_tls=options.server_tls, client_tls=options.client_tls,
    )  # fmt: skip
    try:
        address = await env.listen(options.host, options.port, advertised_host=options.advertised_host)
        service = await start_service(world, conf, options, secret, directory) if conf.shuffle_service else None
    except BaseException:
        await env.close()
        raise
    if launcher is None:
        roller = LogRoller(world)
        env.scope.spawn(roller.run(), name="roll logs")
        launcher = SystemLauncher(world, roller)
    await world.run_blocking(directory.sweep, () if service is None else service.applications.directories())
    running = WorkerProcess(env, service, launcher)
    place = Place(world, conf, launcher, directory, address.host, os.environ if environment is None else environment)
    tenants = Tenants(env, place, secret, driver_settings(conf, options.masters, secret, address.host), service)
    offer = Offer(
        worker_id(world.wall(), address),
        address.host,
        options.cores or available_cores(),
        options.memory_bytes or default_memory(),
        options.web_url,
    )
    running.worker = Worker(env, offer, Registration(tuple(options.masters), world.rng), tenants, running.end)
    env.setup_endpoint(WORKER, running.worker)
    return running


async def start_service(
    world: World, conf: SparkConf, options: WorkerOptions, secret: bytes, directory: WorkDirectory
) -> ShuffleService:
    """Start the worker's shuffle service."""
    return await start_shuffle_service(
        world, conf, options.host, directory.path, lambda realm: application_secret(secret, realm),
        advertised_host=options.advertised_host, server_tls=options.server_tls,
    )  # fmt: skip


def driver_settings(conf: SparkConf, masters: Sequence[RpcAddress], secret: bytes, host: str) -> dict[str, str]:
    """Return what a driver that the cluster runs finds in its environment, unless it brings another value."""
    return {
        **{name: text for name, text in conf.environment().items() if name.startswith("MINISPARK_SSL_")},
        "MINISPARK_MASTER": "minispark://" + ",".join(address.host_port for address in masters),
        "MINISPARK_DRIVER_HOST": host,
        SECRET_VARIABLE: os.fsdecode(secret),
    }


def worker_id(wall_s: float, address: RpcAddress) -> WorkerId:
    """Return the id of a worker that starts now, at that address."""
    time = datetime.fromtimestamp(wall_s, UTC).strftime("%Y%m%d%H%M%S")
    return WorkerId(f"worker-{time}-{address.host}-{address.port}")
