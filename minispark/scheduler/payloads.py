"""Messages without what they carry for users: results, pickled exceptions and accumulators become empty.

For the journal, which keeps what schedulers decide by and nothing else. What is payload is told by the type of a
field: `Attachment`, or a tuple of them.
"""

import dataclasses
import typing
from collections.abc import Iterator
from typing import Any

from minispark.rpc.message import Attachment, Message

__all__ = ["without_payloads"]

PAYLOAD = frozenset(typing.get_args(Attachment))
Found = tuple[tuple[str, bool, bool], ...]
known: dict[type[Any], Found] = {}


def without_payloads(message: Any) -> Any:
    """Return a message whose payloads are empty, those of messages within it too; the same one if it has none."""
    changes: dict[str, Any] = {}
    for name, is_payload, is_many in fields_with_payloads(type(message)):
        value = getattr(message, name)
        if value is None:
            continue
        if is_payload:
            changes[name] = () if is_many else b""
        elif is_many:
            changes[name] = tuple(without_payloads(each) for each in value)
        elif isinstance(value, Message):
            changes[name] = without_payloads(value)
    return dataclasses.replace(message, **changes) if changes else message


def fields_with_payloads(cls: type[Any]) -> Found:
    """Return the fields that are or hold payloads: name, whether it is one itself, whether there are many of them."""
    found = known.get(cls)
    if found is None:
        found = known[cls] = tuple(find_fields(cls))
    return found


def find_fields(cls: type[Any]) -> Iterator[tuple[str, bool, bool]]:
    """Yield what `fields_with_payloads` returns, from the type hints."""
    for name, hint in typing.get_type_hints(cls).items():
        if name in cls.__match_args__:
            is_many = typing.get_origin(hint) is tuple
            inner = typing.get_args(hint)[0] if is_many and typing.get_args(hint) else hint
            members = frozenset(typing.get_args(inner)) or frozenset((inner,))
            if members >= PAYLOAD:
                yield name, True, is_many
            elif any(has_payloads(member) for member in members):
                yield name, False, is_many


def has_payloads(hint: Any) -> bool:
    """Tell whether values of a type may hold payloads."""
    return isinstance(hint, type) and issubclass(hint, Message) and bool(fields_with_payloads(hint))
