"""What a message is: a record (`minispark.record`) with a stable tag.

Every file of `minispark.messages` declares its messages with `@message(tag)`. The tag is the message's name on the
wire and never changes or gets reused; the codec (`rpc.logic.codec`) is built from the type hints at first use.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar, dataclass_transform

from minispark.record import Record, record

__all__ = ["Ask", "Attachment", "Message", "message", "registered_messages"]

T = TypeVar("T", bound="Message")
ReplyT = TypeVar("ReplyT")

type_of_tag: dict[int, type["Message"]] = {}

Attachment = bytes | bytearray | memoryview
"""Bytes that may travel beside the msgpack body of a frame instead of inside it: payloads of any size.

A receiver must not keep a memoryview longer than the handling of the message unless it copies it.
"""


class Message(Record):
    """The base of everything that endpoints say to each other."""

    __slots__ = ()
    TAG: ClassVar[int]


class Ask(Message, Generic[ReplyT]):
    """A message that expects a reply of type `ReplyT`: `class Lookup(Ask[Found])`."""

    __slots__ = ()


@dataclass_transform(frozen_default=True)
def message(tag: int) -> Callable[[type[T]], type[T]]:
    """Declare a message class with its wire tag.

    Args:
        tag: 1–32767, unique among all messages; ranges belong to conversations (see `docs/rpc.md`).

    Raises:
        ValueError: if another class has the tag already.
    """

    def declare(cls: type[T]) -> type[T]:
        made = record(cls)
        known = type_of_tag.get(tag)
        if known is not None and known.__qualname__ != made.__qualname__:
            raise ValueError(f"message tag {tag} of {made.__qualname__} is taken by {known.__qualname__}")
        made.TAG = tag
        type_of_tag[tag] = made
        return made

    return declare


def registered_messages() -> dict[int, type[Any]]:
    """Return every declared message class by its tag."""
    return dict(type_of_tag)
