"""What a message is: a slotted dataclass with typed fields and a stable tag.

Every file of `minispark.messages` declares its messages with `@message(tag)`. The tag is the message's name on the
wire and never changes or gets reused; the codec (`rpc.logic.codec`) is built from the type hints at first use.
"""

import dataclasses
import os
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar, dataclass_transform

__all__ = ["Ask", "Attachment", "Message", "message", "registered_messages"]

T = TypeVar("T", bound="Message")
ReplyT = TypeVar("ReplyT")

type_of_tag: dict[int, type["Message"]] = {}

# Frozen dataclasses pay 0.2 µs a field to be made, so only tests have them; mypy sees every message as frozen.
FROZEN = os.environ.get("MINISPARK_FROZEN_MESSAGES") == "1"

Attachment = bytes | bytearray | memoryview
"""Bytes that may travel beside the msgpack body of a frame instead of inside it: payloads of any size.

A receiver must not keep a memoryview longer than the handling of the message unless it copies it.
"""


class Message:
    """The base of everything that endpoints say to each other."""

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()
    TAG: ClassVar[int]

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__match_args__)

    def __hash__(self) -> int:
        return hash((self.__class__, *(getattr(self, name) for name in self.__match_args__)))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
        return f"{type(self).__qualname__}({fields})"


class Ask(Message, Generic[ReplyT]):
    """A message that expects a reply of type `ReplyT`: `class Lookup(Ask[Found])`."""

    __slots__ = ()


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def message(tag: int) -> Callable[[type[T]], type[T]]:
    """Declare a message class with its wire tag.

    Args:
        tag: 1–32767, unique among all messages; ranges belong to conversations (see `docs/rpc.md`).

    Raises:
        ValueError: if another class has the tag already.
    """

    def declare(cls: type[T]) -> type[T]:
        # Comparing and printing are Message's own: code made for each class would cost every start of a process.
        made: type[T] = dataclasses.dataclass(slots=True, frozen=FROZEN, eq=False, repr=False)(cls)
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
