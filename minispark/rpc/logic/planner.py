"""From a type hint to the plan of how its values travel. Used by `logic.codec`, once for each field of a class.

What values of each kind look like is in `logic.shapes`; here a hint is taken apart. Must not know any message.
"""

import enum
import types
from collections.abc import Callable, Sequence
from typing import Any, Literal, NewType, Union, get_args, get_origin

from minispark.record import Record, record
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.shapes import (
    ADDRESS,
    ATTACHMENT,
    FLOAT,
    REF,
    SCALARS,
    BindRef,
    Malformed,
    Plan,
    ReadOneOf,
    WriteOneOf,
    plan_dict,
    plan_enum,
    plan_items,
    plan_literal,
    plan_record,
)
from minispark.rpc.message import Message
from minispark.rpc.ref import RpcEndpointRef

__all__ = ["Planner"]

ATTACHMENT_TYPES = frozenset({bytes, bytearray, memoryview})
PLAIN = Plan("nothing", frozenset())


@record
class Planner(Record):
    """Plans any type hint of a message.

    Args:
        message_write: writes a message of any class, with its tag.
        message_read: reads a message and checks that it is of one of the classes given.
    """

    message_write: Callable[[frozenset[type[Message]]], WriteOneOf]
    message_read: Callable[[frozenset[type[Message]]], ReadOneOf]

    def plan(self, hint: Any) -> Plan:
        """Plan a type hint.

        Raises:
            TypeError: values of this type cannot travel.
        """
        while isinstance(hint, NewType):
            hint = hint.__supertype__
        if hint in SCALARS:
            return SCALARS[hint]
        if hint is float:
            return FLOAT
        if hint is RpcEndpointRef:
            return REF
        origin = get_origin(hint)
        if origin is Union or origin is types.UnionType:
            return self.plan_union(get_args(hint))
        if origin is Literal:
            return plan_literal(get_args(hint))
        if origin is not None:
            return self.plan_generic(hint, origin, get_args(hint))
        return self.plan_class(hint)

    def plan_class(self, hint: Any) -> Plan:
        """Plan a class: a message, an enum, an address."""
        if isinstance(hint, type):
            if issubclass(hint, Message):
                return self.plan_messages(frozenset({hint}))
            if issubclass(hint, enum.Enum):
                return plan_enum(hint)
            if hint is RpcAddress:
                return ADDRESS
        raise TypeError(f"values of type {hint!r} cannot travel")

    def plan_messages(self, classes: frozenset[type[Message]]) -> Plan:
        """Plan a field that holds a message of one of these classes."""
        expected = "a " + " or ".join(sorted(cls.__name__ for cls in classes))
        write, read = self.message_write(classes), self.message_read(classes)
        return Plan(expected, frozenset({list}), write, read, writes_message=write, reads_message=read)

    def plan_generic(self, hint: Any, origin: Any, arguments: tuple[Any, ...]) -> Plan:
        """Plan tuple, list, dict, set and frozenset."""
        if origin is tuple and (len(arguments) != 2 or arguments[1] is not Ellipsis):
            return plan_record([self.plan(argument) for argument in arguments], f"a {hint}")
        if origin is dict:
            return plan_dict(self.plan(arguments[0]), self.plan(arguments[1]), f"a {hint}")
        if origin in {tuple, list}:
            return plan_items(origin, self.plan(arguments[0]), f"a {hint}")
        if origin in {frozenset, set}:
            return plan_items(origin, self.plan(arguments[0]), f"a {hint}", ordered=False)
        raise TypeError(f"values of type {hint!r} cannot travel")

    def plan_union(self, arguments: tuple[Any, ...]) -> Plan:
        """Plan a union: its members must differ in their classes on the wire; messages differ by tag."""
        rest = set(arguments)
        members: list[tuple[Any, Plan]] = []
        if rest >= ATTACHMENT_TYPES:
            members.append((bytes | bytearray | memoryview, ATTACHMENT))
            rest -= ATTACHMENT_TYPES
        messages = frozenset(each for each in rest if isinstance(each, type) and issubclass(each, Message))
        if messages:
            members.append((tuple(messages), self.plan_messages(messages)))
        members += [(each, self.plan(each)) for each in arguments if each in rest and each not in messages]
        return members[0][1] if len(members) == 1 else plan_choice(members)


def plan_choice(members: list[tuple[Any, Plan]]) -> Plan:
    """Plan a union of types that msgpack keeps apart."""
    by_wire: dict[type, Plan] = {}
    for _, plan in members:
        for wire in plan.wires:
            if wire in by_wire:
                raise TypeError(f"{by_wire[wire].expected} and {plan.expected} look alike on the wire")
            by_wire[wire] = plan
    expected = " or ".join(plan.expected for _, plan in members)
    writers = [(claims(hint), plan.write) for hint, plan in members if plan.write]

    def write(value: Any, attachments: list[Any]) -> Any:
        for claimed, writer in writers:
            if claimed(value):
                return writer(value, attachments)
        return value

    def read(value: Any, attachments: Sequence[Any], bind: BindRef | None) -> Any:
        plan = by_wire.get(value.__class__)
        if plan is None:
            raise Malformed(expected, value)
        return value if plan.read is None else plan.read(value, attachments, bind)

    as_is = frozenset[type]().union(*(plan.as_is for _, plan in members))
    lists = by_wire.get(list, PLAIN)  # messages, if there are any: they go as lists
    return Plan(
        expected, frozenset(by_wire), write if writers else None, read, as_is,
        writes_message=lists.writes_message, reads_message=lists.reads_message,
    )  # fmt: skip


def claims(hint: Any) -> Callable[[object], bool]:
    """Return the test whether a value is of a union's member; a ref, being a protocol, is what is not plain data."""
    if hint is RpcEndpointRef:
        return lambda value: not isinstance(value, int | str | bytes | float | dict | None)
    origin = get_origin(hint)
    kind = origin if isinstance(origin, type) and origin is not types.UnionType else hint
    return lambda value: isinstance(value, kind)
