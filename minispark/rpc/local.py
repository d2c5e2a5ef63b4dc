"""Refs and call contexts of endpoints in this env: messages go to the inbox by reference.

With `minispark.rpc.loopbackEncode` they go through the codec on the way, so that nothing works locally that would
fail between processes.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from minispark.errors import ProtocolError, RpcEndpointNotFound, RpcEnvStopped
from minispark.rpc.asks import AskFuture
from minispark.rpc.failures import describe, rebuild
from minispark.rpc.logic import codec
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.inbox import Inbox
from minispark.rpc.message import Ask, Message

if TYPE_CHECKING:
    from minispark.rpc.env import RpcEnv

__all__ = ["LocalRef", "OneWay"]

log = logging.getLogger(__name__)


class OneWay:
    """The context of messages that nobody waits for: one object for all messages of one sender, here or elsewhere.

    Args:
        address_of_sender: says where the sender's env listens now; it may begin to after its first message.
    """

    __slots__ = ("address_of_sender",)
    is_ask = False

    def __init__(self, address_of_sender: Callable[[], RpcAddress | None]) -> None:
        self.address_of_sender = address_of_sender

    @property
    def sender(self) -> RpcAddress | None:
        """Where the sender's env listens."""
        return self.address_of_sender()

    def reply(self, message: Message) -> None:
        """Do nothing."""

    def send_failure(self, error: BaseException) -> None:
        """Do nothing."""


class LocalCall:
    """The context of an ask from this env."""

    __slots__ = ("ask", "env")
    is_ask = True

    def __init__(self, env: "RpcEnv", ask: AskFuture) -> None:
        self.env = env
        self.ask = ask

    @property
    def sender(self) -> RpcAddress | None:
        """The env's own address."""
        return self.env.address

    def reply(self, message: Message) -> None:
        """Answer; a reply that cannot be encoded fails the ask with the reason."""
        if self.env.loopback:
            try:
                message = self.env.copied(message)
            except ProtocolError as error:
                self.send_failure(error)
                return
        self.env.asks.resolve(self.ask, message)

    def send_failure(self, error: BaseException) -> None:
        """Fail the ask; the asker's error is another object, as it would be between processes."""
        self.env.asks.fail(self.ask, rebuild(*describe(error)))


class LocalRef:
    """A handle on an endpoint of this env; made by the RpcEnv."""

    __slots__ = ("env", "inbox", "name")

    def __init__(self, env: "RpcEnv", name: str) -> None:
        self.env = env
        self.name = name
        self.inbox: Inbox | None = None

    @property
    def address(self) -> RpcAddress | None:
        """Where the env listens; None if it does not."""
        return self.env.address

    def find(self) -> Inbox:
        """Return the endpoint's inbox; the name may have been registered anew."""
        inbox = self.inbox
        if inbox is None or inbox.stopped:
            inbox = self.inbox = self.env.dispatcher.find(self.name)
        return inbox

    def send(self, message: Message) -> None:
        """Send one way; if the endpoint is gone the message is dropped with a warning, as between processes."""
        env = self.env
        inbox = self.inbox
        if inbox is None or inbox.stopped:
            try:
                inbox = self.find()
            except RpcEndpointNotFound as error:
                log.warning("%s: %s dropped: %s", env.name, type(message).__name__, error)
                return
            except RpcEnvStopped:
                return
        inbox.queue.append((env.copied(message) if env.loopback else message, env.one_way))
        if not inbox.ready:  # as in `Dispatcher.post`, which would be a call more for each of a task's messages
            inbox.ready = True
            dispatcher = env.dispatcher
            dispatcher.ready.append(inbox)
            if not dispatcher.scheduled:
                dispatcher.schedule()

    def ask(self, message: Ask[Any], timeout_s: float | None = None) -> AskFuture:
        """Send and return the future reply."""
        env = self.env
        future = env.asks.new(self, message, timeout_s)
        try:
            env.dispatcher.post(self.find(), env.copied(message) if env.loopback else message, LocalCall(env, future))
        except (ProtocolError, RpcEndpointNotFound, RpcEnvStopped) as error:
            future.abort(error)
        return future

    def __eq__(self, other: object) -> bool:
        return other is self or (self.name, self.address) == (
            getattr(other, "name", None),
            getattr(other, "address", 0),
        )

    def __hash__(self) -> int:
        return hash((self.name, self.address))

    def __repr__(self) -> str:
        return f"{self.name}@{self.address or self.env.name}"


def through_the_codec(env: "RpcEnv", message: Message) -> Message:
    """Return the message as it would arrive from another process."""
    body, attachments = codec.encode(message)
    copies = [bytes(attachment) for attachment in attachments]
    return codec.decode(body, copies, env.bind)  # type: ignore[no-any-return]
