"""A mailbox: OnStart first, one message at a time in order, OnStop last and nothing after it.

The dispatcher owns the inboxes of an env and calls `process`; nobody else does. Source: Spark's `Inbox`.
"""

import operator
from collections import deque
from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minispark.rpc.endpoint import CallContext, RpcEndpoint
    from minispark.rpc.message import Message

__all__ = ["Control", "Inbox", "Observer"]

Control = Callable[[Any], object]
"""Something to call on the endpoint in its turn that is not a message: `on_start`, `on_connected`, …"""

Observer = Callable[[str, "Message", "CallContext"], object]
"""Is shown every message just before its endpoint gets it: name of the endpoint, message, context."""

ON_START: Control = operator.methodcaller("on_start")
QUANTUM = 32  # messages that one inbox may take before the next inbox has its turn


class Inbox:
    """The queue of one endpoint.

    Args:
        name: the endpoint's name.
        report: told of an error that the endpoint's own `on_error` did not settle.
        realms: of peers that may talk to it.

    Attributes:
        ready: whether the dispatcher has it in its line of inboxes with messages.
        stopped: whether OnStop is queued; what is posted later is refused.
    """

    __slots__ = ("endpoint", "name", "queue", "ready", "realms", "report", "stopped")

    def __init__(
        self,
        name: str,
        endpoint: "RpcEndpoint",
        report: Callable[[str, BaseException], None],
        realms: Container[str] = ("",),
    ) -> None:
        self.name = name
        self.endpoint = endpoint
        self.report = report
        self.realms = realms
        self.ready = False
        self.stopped = False
        self.queue: deque[tuple[Any, CallContext | None]] = deque([(ON_START, None)])

    def post(self, message: "Message", context: "CallContext") -> bool:
        """Queue a message; False if the endpoint is stopped."""
        if self.stopped:
            return False
        self.queue.append((message, context))
        return True

    def post_control(self, control: Control) -> None:
        """Queue a call of the endpoint; dropped if it is stopped."""
        if not self.stopped:
            self.queue.append((control, None))

    def stop(self) -> None:
        """Queue OnStop behind what is queued already; a second call does nothing."""
        if not self.stopped:
            self.stopped = True
            self.queue.append((self.finish, None))

    def finish(self, endpoint: "RpcEndpoint") -> None:
        """Take the endpoint's ref away and run its `on_stop`."""
        endpoint._ref = None
        endpoint.on_stop()

    def process(self, now: Callable[[], float], deadline: float, observer: Observer | None) -> bool:
        """Give the endpoint its next messages, until its quantum or the deadline; return whether that has passed.

        An error of the endpoint goes to the asker and to its `on_error`. A fatal one (KeyboardInterrupt, SystemExit)
        goes to the asker and on to the caller; the queue is as it should be after it.
        """
        queue, endpoint = self.queue, self.endpoint
        receive = endpoint.receive
        count = 0
        while queue and count < QUANTUM:
            count += 1
            message, context = queue.popleft()
            try:
                if context is None:
                    message(endpoint)
                else:
                    if observer is not None:
                        observer(self.name, message, context)
                    receive(message, context)
            except BaseException as error:
                if context is not None and context.is_ask:
                    context.send_failure(error)
                if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
                    raise
                self.fail(error)
            if now() >= deadline:
                return True
        return False

    def fail(self, error: BaseException) -> None:
        """Hand an error to the endpoint's `on_error`; what that raises is reported."""
        try:
            self.endpoint.on_error(error)
        except Exception as unsettled:  # noqa: BLE001 — the message boundary
            self.report(self.name, unsettled)
