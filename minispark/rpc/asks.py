"""Open asks of an env, near and far: their futures, deadlines, and what the asker sees when no reply comes."""

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING, Any

from minispark.errors import ProtocolError, RpcError, RpcTimeout
from minispark.rpc.logic.codec import reply_types
from minispark.rpc.logic.timeouts import TimeoutSetting
from minispark.rpc.message import Message
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.world import World

if TYPE_CHECKING:
    from minispark.rpc.outbox import Line

__all__ = ["AskFuture", "AskTable"]

log = logging.getLogger(__name__)

reply_types_of: dict[type[Any], tuple[type, ...]] = {}


class AskFuture(asyncio.Future[Any]):
    """The reply to come. Cancelling it forgets the request; a reply that comes later is dropped.

    Attributes:
        line: the remote peer's line the request went over; None for a local ask.
    """

    ask_id: int
    deadline: float
    timeout_s: float
    given: bool
    ref: RpcEndpointRef
    message_type: type[Message]
    table: "AskTable"
    line: "Line | None" = None

    def cancel(self, msg: Any | None = None) -> bool:
        """Forget the request and cancel."""
        self.table.forget(self)
        return super().cancel(msg)

    def abort(self, error: BaseException) -> None:
        """Fail the ask with this error and forget the request; nothing happens if it is done."""
        self.table.fail(self, error)


class AskTable:
    """All open asks of an env.

    One timer serves them all: asks of equal timeouts stand in one line each, so the next deadline is the first of one
    of the lines.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, world: World, default: TimeoutSetting) -> None:
        self.loop = loop
        self.world = world
        self.default = default
        self.ids = itertools.count(1)
        self.open: dict[int, AskFuture] = {}
        self.lines: dict[float, dict[int, AskFuture]] = {}
        self.timer: asyncio.TimerHandle | None = None
        self.timer_at = float("inf")

    def new(self, ref: RpcEndpointRef, message: Message, timeout_s: float | None) -> AskFuture:
        """Open an ask; its deadline runs from now."""
        ask = AskFuture(loop=self.loop)
        ask.table = self
        ask.ask_id = next(self.ids)
        ask.ref = ref
        ask.message_type = message.__class__
        ask.given = timeout_s is not None
        ask.timeout_s = duration = self.default.duration_s if timeout_s is None else timeout_s
        ask.deadline = deadline = self.world.monotonic() + duration
        self.open[ask.ask_id] = ask
        line = self.lines.get(duration)
        if line is None:
            line = self.lines[duration] = {}
        line[ask.ask_id] = ask
        if deadline < self.timer_at:
            self.arm(deadline)
        return ask

    def arm(self, deadline: float) -> None:
        """Let the timer run out at this deadline."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer_at = deadline
        self.timer = self.world.call_later(max(0.0, deadline - self.world.monotonic()), self.expire)

    def expire(self) -> None:
        """Fail the asks whose time is over and wait for the next."""
        self.timer, self.timer_at = None, float("inf")
        now = self.world.monotonic()
        for duration, line in list(self.lines.items()):
            for ask in list(line.values()):
                if ask.deadline > now:
                    break
                self.fail(ask, self.timeout_error(ask))
            if not line:
                self.lines.pop(duration, None)
        if self.lines:
            self.arm(min(next(iter(line.values())).deadline for line in self.lines.values()))

    def timeout_error(self, ask: AskFuture) -> RpcTimeout:
        """Return the error of an ask that got no reply in time."""
        text = f"no reply from {ask.ref} to {ask.message_type.__name__} within {ask.timeout_s:g} s"
        return RpcTimeout(f"{text} (the caller's timeout)") if ask.given else self.default.error(text)

    def forget(self, ask: AskFuture) -> bool:
        """Take an ask out of the table; False if it is not in it any more."""
        if self.open.pop(ask.ask_id, None) is None:
            return False
        line = self.lines[ask.timeout_s]
        del line[ask.ask_id]
        if ask.line is not None:
            ask.line.asks.discard(ask.ask_id)
        return True

    def resolve(self, ask: AskFuture, reply: Message) -> None:
        """Give the asker its reply; a late one is dropped, one of a wrong type fails the ask."""
        cls = ask.message_type
        expected = reply_types_of.get(cls)
        if expected is None:
            expected = reply_types_of[cls] = reply_types(cls)
        if expected and not isinstance(reply, expected):
            names = " or ".join(each.__name__ for each in expected)
            text = f"{ask.ref} replied to {cls.__name__} with a {type(reply).__name__}, not a {names}"
            self.fail(ask, ProtocolError(text))
        elif self.forget(ask):
            if not ask.done():
                ask.set_result(reply)
        else:
            log.debug("late reply to %s from %s dropped", cls.__name__, ask.ref)

    def fail(self, ask: AskFuture, error: BaseException) -> None:
        """Fail an ask; nothing happens if it is done."""
        if self.forget(ask) and not ask.done():
            ask.set_exception(error)

    def fail_all(self, error_text: str, kind: type[RpcError] = RpcError) -> None:
        """Fail every open ask and stop the timer."""
        for ask in list(self.open.values()):
            self.fail(ask, kind(f"{error_text}: {ask.message_type.__name__} to {ask.ref}"))
        if self.timer is not None:
            self.timer.cancel()
