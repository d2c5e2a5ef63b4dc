"""Local delivery: from a ref to an inbox to `receive`, without a task or a future per message.

One dispatcher per RpcEnv. Inboxes with messages stand in one line; a turn serves them round robin for at most a
millisecond, so that neither a flooded endpoint nor a busy env holds up the loop's other users. What arrives on a
connection has its turn at once, what is sent here in the next iteration of the loop.
"""

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable, Container
from typing import TypeVarTuple

from minispark.errors import RpcEndpointNotFound, RpcEnvStopped
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.logic.inbox import Control, Inbox, Observer
from minispark.rpc.message import Message
from minispark.rpc.ref import RpcEndpointRef

__all__ = ["Dispatcher"]

log = logging.getLogger(__name__)

Ts = TypeVarTuple("Ts")

TURN_S = 0.001
TURN_VISITS = 2048  # of inboxes; under a virtual clock, where no time passes, this bounds a turn


class Dispatcher:
    """Owns the inboxes of an env.

    Args:
        loop: where endpoints run.
        now: a monotonic clock in seconds.

    Attributes:
        observer: if set, is shown every message before its endpoint gets it (traces, tests).
        on_unsettled: if set, is told of errors that endpoints did not settle: the endpoint's name and the error.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, now: Callable[[], float]) -> None:
        self.loop = loop
        self.now = now
        self.observer: Observer | None = None
        self.on_unsettled: Callable[[str, BaseException], object] | None = None
        self.inboxes: dict[str, Inbox] = {}
        self.ready: deque[Inbox] = deque()
        self.endings: deque[Callable[[], object]] = deque()  # to be called when the turn is over
        self.scheduled = False
        self.running = False
        self.stopped = False
        self.stopping = 0  # inboxes whose OnStop is still to run
        self.idle: asyncio.Future[None] | None = None
        # Handlers run in the env's own context: not in that of whoever happened to send first in this turn.
        self.context = contextvars.Context()

    def register(
        self, name: str, endpoint: RpcEndpoint, ref: RpcEndpointRef, realms: Container[str] = ("",)
    ) -> Inbox:
        """Give an endpoint its inbox and its ref; `on_start` is queued. Peers of these realms may talk to it.

        Raises:
            ValueError: the name is taken.
            RpcEnvStopped: the env was shut down.
        """
        if self.stopped:
            raise RpcEnvStopped(f"cannot register {name!r}: the RpcEnv is stopped")
        if name in self.inboxes:
            raise ValueError(f"there is already an endpoint {name!r} in this RpcEnv")
        endpoint._ref = ref
        inbox = self.inboxes[name] = Inbox(name, endpoint, self.report, realms)
        self.wake(inbox)
        return inbox

    def find(self, name: str) -> Inbox:
        """Return the inbox of that name.

        Raises:
            RpcEndpointNotFound: there is none.
            RpcEnvStopped: the env was shut down.
        """
        inbox = self.inboxes.get(name)
        if inbox is not None and not inbox.stopped:
            return inbox
        if self.stopped:
            raise RpcEnvStopped("the RpcEnv is stopped")
        raise RpcEndpointNotFound(f"there is no endpoint {name!r}")

    def post(self, inbox: Inbox, message: Message, context: CallContext) -> None:
        """Queue a message for an inbox that is not stopped."""
        inbox.queue.append((message, context))
        if not inbox.ready:
            inbox.ready = True
            self.ready.append(inbox)
            if not self.scheduled:
                self.schedule()

    def schedule(self) -> None:
        """Have the inboxes in line served in a turn of the loop."""
        self.scheduled = True
        self.loop.call_soon(self.run_turn, context=self.context)

    def post_to_all(self, control: Control, realm: str) -> None:
        """Call all endpoints that peers of a realm may talk to, each in its turn."""
        for inbox in list(self.inboxes.values()):
            if realm in inbox.realms:
                inbox.post_control(control)
                self.wake(inbox)

    def wake(self, inbox: Inbox) -> None:
        """Put an inbox with messages in line."""
        if not inbox.ready and inbox.queue:
            inbox.ready = True
            self.ready.append(inbox)
        if self.ready and not self.scheduled:
            self.schedule()

    def stop(self, name: str) -> None:
        """Stop an endpoint: it gets what is queued, then `on_stop`; nothing happens if it is stopped or unknown."""
        inbox = self.inboxes.pop(name, None)
        if inbox is not None:
            inbox.stop()
            self.stopping += 1
            inbox.queue.append((self.inbox_finished, None))
            self.wake(inbox)

    def inbox_finished(self, endpoint: RpcEndpoint) -> None:
        """Count an inbox whose `on_stop` has run."""
        self.stopping -= 1
        if self.idle is not None and not self.stopping and not self.idle.done():
            self.idle.set_result(None)

    async def stop_all(self) -> None:
        """Stop all endpoints, the last registered first, and wait until each has run its `on_stop`."""
        self.stopped = True
        for name in reversed(list(self.inboxes)):
            self.stop(name)
        if self.stopping:
            self.idle = self.loop.create_future()
            await self.idle

    def at_end_of_turn(self, callback: Callable[[], object]) -> None:
        """Call something when the inboxes have been served: what is sent to a peer in one turn goes out together."""
        self.endings.append(callback)
        if not self.scheduled:
            self.schedule()

    def serve(self, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Call something that sends, and serve the inboxes before returning: for callbacks of the loop.

        What it sends is handled in the same iteration of the loop, where `call_soon` would cost another one. Within a
        handler it is only called.
        """
        if self.scheduled or self.running:
            callback(*args)
            return
        self.scheduled = True  # so that no turn is scheduled meanwhile
        try:
            callback(*args)
        finally:
            self.context.run(self.run_turn)

    def run_turn(self) -> None:
        """Serve the inboxes in line, for a millisecond at most; then do what waits for the end of the turn."""
        self.running = self.scheduled = True
        ready, endings, now = self.ready, self.endings, self.now
        deadline, left = now() + TURN_S, TURN_VISITS
        try:
            late = False
            while ready and left and not late:
                left -= 1
                inbox = ready.popleft()
                try:
                    late = inbox.process(now, deadline, self.observer)
                finally:
                    if inbox.queue:
                        ready.append(inbox)
                    else:
                        inbox.ready = False
            while endings:
                endings.popleft()()
        finally:
            self.running = self.scheduled = False
            if ready or endings:
                self.schedule()

    def report(self, name: str, error: BaseException) -> None:
        """Log an error that an endpoint did not settle itself, and tell whoever wants to know."""
        log.error("endpoint %s: %s: %s", name, type(error).__name__, error, exc_info=error)
        if self.on_unsettled is not None:
            self.on_unsettled(name, error)
