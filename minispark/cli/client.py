"""How commands talk to a cluster: they find the master that rules and ask it one thing.

Used by `submit` and `status`. A client proves the cluster's secret, listens nowhere and leaves nothing behind.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from minispark.conf import SparkConf
from minispark.deploy.secrets import cluster_secret, tls_contexts
from minispark.errors import ConfigurationError, RpcAddressError, RpcError
from minispark.messages.deploy_clients import MasterStatus, RequestMasterStatus
from minispark.messages.deploy_values import MasterState
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.secrets import CLUSTER_REALM
from minispark.rpc.message import Ask, Message
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.world import SystemWorld

__all__ = ["MASTER_PORT", "ClusterClient", "cluster_client", "master_addresses"]

MASTER: Final = "Master"
MASTER_PORT: Final = 7077
ASK_S: Final = 10.0

Reply = TypeVar("Reply", bound=Message)

# What goes wrong is told in one line by the command; Python would write the library's warnings beside it.
logging.getLogger("minispark").addHandler(logging.NullHandler())


def master_addresses(text: str) -> tuple[RpcAddress, ...]:
    """Read `minispark://host:port,host2:port2`; the scheme and the port 7077 may be left out.

    Raises:
        ConfigurationError: it is none; the message shows the form.
    """
    try:
        parts = [part.strip() for part in text.removeprefix("minispark://").split(",")]
        return tuple(
            RpcAddress.parse(part if part.rpartition(":")[2].isdigit() else f"{part}:{MASTER_PORT}") for part in parts
        )
    except RpcAddressError:
        raise ConfigurationError(
            f"{text!r} is not the address of a master: minispark://host:7077, with several minispark://a:7077,b:7077"
        ) from None


class ClusterClient:
    """The masters of one cluster, of which one rules."""

    def __init__(self, env: RpcEnv, masters: Sequence[RpcAddress]) -> None:
        self.env = env
        self.masters = masters
        self.leader: RpcEndpointRef | None = None

    async def status(self) -> MasterStatus:
        """Return how the cluster is, as the master that rules says.

        Raises:
            RpcError: no master answers, or none rules; the text says what each one said.
        """
        answers = await asyncio.gather(*map(self.status_of, self.masters))
        for address, answer in zip(self.masters, answers, strict=True):
            if isinstance(answer, MasterStatus) and answer.state is not MasterState.STANDBY:
                self.leader = self.env.bind(MASTER, address)
                return answer
        said = "; ".join(
            f"{address}: {'is in standby' if isinstance(answer, MasterStatus) else answer}"
            for address, answer in zip(self.masters, answers, strict=True)
        )
        raise RpcError(f"no master answers for the cluster ({said})")

    async def status_of(self, address: RpcAddress) -> MasterStatus | RpcError:
        """Return what one master says, or why it says nothing."""
        try:
            return await self.env.bind(MASTER, address).ask(RequestMasterStatus(), ASK_S)
        except RpcError as error:
            return error

    async def ask(self, message: Ask[Reply]) -> Reply:
        """Ask the master that rules.

        Raises:
            RpcError: there is none, or it does not answer.
        """
        if self.leader is None:
            await self.status()
        assert self.leader is not None
        return await self.leader.ask(message, ASK_S)


@asynccontextmanager
async def cluster_client(
    conf: SparkConf, masters: Sequence[RpcAddress], secret: bytes | None = None
) -> AsyncIterator[ClusterClient]:
    """Make the client of a cluster for the time of a block.

    Args:
        conf: settings `minispark.rpc.*` and `minispark.ssl.*`.
        masters: of which one rules.
        secret: of the cluster; by default found as by any process that asks a cluster.

    Raises:
        ConfigurationError: the secret or a certificate is missing or wrong.
    """
    env = RpcEnv(
        "client", SystemWorld(), conf,
        secret=secret or cluster_secret(conf), realm=CLUSTER_REALM, client_tls=tls_contexts(conf).client,
    )  # fmt: skip
    try:
        yield ClusterClient(env, masters)
    finally:
        await env.close()
