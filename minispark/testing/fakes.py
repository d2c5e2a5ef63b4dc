"""Fakes that record what a component under test says, and let the test answer."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from minispark.errors import RpcError
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.message import Ask, Message

__all__ = ["RecordingContext", "RecordingRef"]

M = TypeVar("M", bound=Message)


class RecordingRef:
    """A ref to nobody: it keeps what was sent and asked.

    Args:
        name: the endpoint's name.
        address: its address.
        answer: if given, called with each ask; what it returns is the reply, what it raises fails the ask. Otherwise
            asks stay open until the test calls `reply` or `fail`.

    Attributes:
        sent: one-way messages, in order.
        asked: asks, in order, each with its future.

    Example:
        >>> ref = RecordingRef("Master")
        >>> component.start(ref)
        >>> assert ref.sent == [RegisterWorker(...)]
    """

    def __init__(
        self, name: str = "fake", address: RpcAddress | None = None, answer: Callable[[Any], Message] | None = None
    ) -> None:
        self.name = name
        self.address = address
        self.answer = answer
        self.sent: list[Message] = []
        self.asked: list[tuple[Ask[Any], asyncio.Future[Any]]] = []

    def send(self, message: Message) -> None:
        """Keep a message."""
        self.sent.append(message)

    def ask(self, message: Ask[Any], timeout_s: float | None = None) -> asyncio.Future[Any]:
        """Keep an ask; answer it if the ref knows how."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.asked.append((message, future))
        if self.answer is not None:
            try:
                future.set_result(self.answer(message))
            except RpcError as error:
                future.set_exception(error)
        return future

    def of(self, kind: type[M]) -> list[M]:
        """Return the messages sent that are of a class."""
        return [message for message in self.sent if isinstance(message, kind)]

    def take(self) -> list[Message]:
        """Return what was sent since the last call."""
        taken, self.sent = self.sent, []
        return taken

    @property
    def open_asks(self) -> list[Ask[Any]]:
        """The asks that wait for an answer."""
        return [message for message, future in self.asked if not future.done()]

    def reply(self, reply: Message) -> None:
        """Answer the oldest open ask."""
        self.oldest().set_result(reply)

    def fail(self, error: BaseException) -> None:
        """Fail the oldest open ask."""
        self.oldest().set_exception(error)

    def oldest(self) -> asyncio.Future[Any]:
        """Return the future of the oldest open ask."""
        waiting = [future for _, future in self.asked if not future.done()]
        assert waiting, f"nobody asks {self.name} anything"
        return waiting[0]

    def __eq__(self, other: object) -> bool:
        return (self.name, self.address) == (getattr(other, "name", None), getattr(other, "address", 0))

    def __hash__(self) -> int:
        return hash((self.name, self.address))

    def __repr__(self) -> str:
        return f"RecordingRef({self.name})"


class RecordingContext:
    """A CallContext for calling `endpoint.receive(message, context)` by hand.

    Attributes:
        replies: what the endpoint replied.
        failures: the errors it answered with.
    """

    def __init__(self, sender: RpcAddress | None = None, *, is_ask: bool = True) -> None:
        self.sender = sender
        self.is_ask = is_ask
        self.replies: list[Message] = []
        self.failures: list[BaseException] = []

    def reply(self, message: Message) -> None:
        """Keep a reply."""
        self.replies.append(message)

    def send_failure(self, error: BaseException) -> None:
        """Keep an error."""
        self.failures.append(error)
