"""Whether the master that one follows still answers; used by the worker and by the application's client.

A host that was switched off, a process that stands still and a link that was cut end no connection: TCP gives up
after a quarter of an hour, or never. So the env of the master is asked again and again whether there is a master,
which costs the master itself nothing. A connection that ends is told to endpoints, and not this class's business.
"""

import asyncio
import logging
from collections.abc import Callable

from minispark.deploy.logic.silence import QUESTIONS, Silence
from minispark.errors import RpcError
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.ref import RpcEndpointRef

__all__ = ["MasterWatch"]

logger = logging.getLogger(__name__)


class MasterWatch:
    """The watch over one master at a time.

    Args:
        env: of who watches.
        timeout_s: how long a master may answer nothing; it is noticed within a quarter more.
        lost: called with the master's address when it is; then the watch is over until `follow` is called again.
    """

    def __init__(self, env: RpcEnv, timeout_s: float, lost: Callable[[RpcAddress], object]) -> None:
        self.env = env
        self.timeout_s = timeout_s
        self.lost = lost
        self.silence = Silence()
        self.timer: asyncio.TimerHandle | None = None
        self.question: asyncio.Task[None] | None = None

    def follow(self, master: RpcEndpointRef | None) -> None:
        """Watch this master from now on, and no other; None: none."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.question is not None:
            self.question.cancel()
            self.question = None
        self.silence = Silence()
        if master is not None and master.address is not None:
            self.wait(master.name, master.address)

    def wait(self, name: str, address: RpcAddress) -> None:
        """Ask in a while."""
        self.timer = self.env.world.call_later(self.timeout_s / QUESTIONS, self.turn, name, address)

    def turn(self, name: str, address: RpcAddress) -> None:
        """Ask now, unless the last question is open; or take the master for lost."""
        if not self.silence.time_to_ask():
            self.follow(None)
            logger.warning("the master at %s has answered nothing for %g s", address, self.timeout_s)
            self.lost(address)
            return
        if self.question is None:
            self.question = self.env.scope.spawn(self.ask(name, address), name=f"ask whether {address} answers")
        self.wait(name, address)

    async def ask(self, name: str, address: RpcAddress) -> None:
        """Ask once, and wait for the answer as long as it takes."""
        silence = self.silence
        try:
            await self.env.lookup(address, name)
            silence.answered()
        except RpcError as error:
            logger.debug("%s does not answer: %s", address, error)
        if silence is self.silence:
            self.question = None
