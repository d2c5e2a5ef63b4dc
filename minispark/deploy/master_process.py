"""A master as a whole: its env, its endpoint, where it listens. Composed here, by whoever runs one.

Used by `minispark master`, by clusters inside one process and by simulations, which differ in the World that they
give, and in where the recovery state is kept.
"""

import asyncio
import contextlib
import ssl
from pathlib import Path
from typing import Final

from minispark.conf import SparkConf
from minispark.deploy.master import MASTER, Master
from minispark.deploy.persistence import FileStore, RecoveryStore
from minispark.errors import ConfigurationError
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.secrets import CLUSTER_REALM
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.world import World

__all__ = ["MasterProcess", "start_master"]

RESIGN_S: Final = 5.0


class MasterProcess:
    """A running master.

    Attributes:
        env: its RpcEnv.
        endpoint: the Master.
        ref: a handle on it.
        address: where others reach it.
    """

    def __init__(self, env: RpcEnv, endpoint: Master, ref: RpcEndpointRef, address: RpcAddress) -> None:
        self.env = env
        self.endpoint = endpoint
        self.ref = ref
        self.address = address

    @property
    def url(self) -> str:
        """What people give to workers and programs: minispark://host:port."""
        return str(self.address)

    async def wait(self) -> str:
        """Wait until the master must end, because it lost its leadership or its disk; return the reason."""
        return await self.endpoint.ended

    async def close(self) -> None:
        """Stop it; another master that shares its records may lead at once."""
        with contextlib.suppress(OSError):  # also no answer of the disk in time: then its term runs out
            async with asyncio.timeout(RESIGN_S):
                await self.endpoint.resign()
        await self.env.close()


async def start_master(
    world: World,
    conf: SparkConf,
    secret: bytes,
    *,
    host: str = "127.0.0.1",
    port: int = 7077,
    advertised_host: str | None = None,
    store: RecoveryStore | None = None,
    server_tls: ssl.SSLContext | None = None,
    client_tls: ssl.SSLContext | None = None,
) -> MasterProcess:
    """Start a master.

    Args:
        world: clock, chance, network.
        conf: settings `minispark.deploy.*` and others of masters.
        secret: the cluster's.
        host: a name or address of this machine to listen on.
        port: 0 for any; if it is in use, up to `minispark.port.maxRetries` next ones are tried.
        advertised_host: what others are told instead of `host`; needed for a wildcard.
        store: where records are kept and leaders agree, in place of what `minispark.deploy.recoveryMode` says.
        server_tls: makes the connections of peers TLS.
        client_tls: makes the connections to peers TLS.

    Raises:
        ConfigurationError: the recovery mode is filesystem, and no directory is set.
        RecoveryStateError: the recovery directory cannot be made.
        RpcError: it cannot listen there.
        ValueError: a wildcard address without `advertised_host`.
    """
    env = RpcEnv(
        "master", world, conf, secret=secret, realm=CLUSTER_REALM, server_tls=server_tls, client_tls=client_tls
    )
    try:
        store = store_of(conf) if store is None else store
        address = await env.listen(host, port, advertised_host=advertised_host)
        endpoint = Master(env, store)
        ref = env.setup_endpoint(MASTER, endpoint)
    except BaseException:
        await env.close()
        raise
    return MasterProcess(env, endpoint, ref, address)


def store_of(conf: SparkConf) -> RecoveryStore | None:
    """Return where records are kept; None: nowhere."""
    if conf.deploy_recovery_mode == "none":
        return None
    if not conf.deploy_recovery_directory:
        raise ConfigurationError(
            "minispark.deploy.recoveryMode=filesystem needs minispark.deploy.recoveryDirectory, a directory that all "
            "masters of the cluster can write to"
        )
    return FileStore(Path(conf.deploy_recovery_directory))
