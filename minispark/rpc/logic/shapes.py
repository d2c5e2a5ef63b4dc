"""The shapes of values on the wire: how each kind is written as msgpack and read back checked.

`logic.planner` puts these plans together for a type hint, and `logic.codec` compiles the functions of a message class
out of them. Reading checks everything: nothing of a type that the hint does not allow gets past it.
"""

import enum
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from minispark.errors import ProtocolError
from minispark.record import Record, record
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.ref import RpcEndpointRef

__all__ = [
    "ADDRESS",
    "ATTACHMENT",
    "FLOAT",
    "INLINE_LIMIT",
    "MAX_ATTACHMENTS",
    "REF",
    "SCALARS",
    "BindRef",
    "Malformed",
    "Plan",
    "Read",
    "ReadOneOf",
    "Write",
    "WriteOneOf",
    "attach",
    "plan_dict",
    "plan_enum",
    "plan_items",
    "plan_literal",
    "plan_record",
]

INLINE_LIMIT = 4096
"""Attachments up to this many bytes travel inside the msgpack body."""

MAX_ATTACHMENTS = 4096
"""More attachments in one message go inside the body, whatever their size."""

BindRef = Callable[[str, RpcAddress | None], RpcEndpointRef]
"""Makes a ref out of the endpoint's name and address that came over the wire."""

Write = Callable[[Any, list[Any]], Any]
Read = Callable[[Any, Sequence[Any], "BindRef | None"], Any]


class WriteOneOf(Protocol):
    """Writes messages of one of some classes; `known` has the writers of those that came."""

    known: dict[type[Any], Write]

    def __call__(self, value: Any, attachments: list[Any]) -> Any:
        """Write one."""


class ReadOneOf(Protocol):
    """Reads messages of one of some classes; `known` has, by tag, the readers of those that came."""

    known: dict[int, Read]

    def __call__(self, value: Any, attachments: Sequence[Any], bind: BindRef | None) -> Any:
        """Read one."""


class Malformed(ProtocolError):
    """A value is not what the message's type hints say; `path` leads to it from the message."""

    def __init__(self, expected: str, value: object) -> None:
        text = repr(value) if isinstance(value, int | float | None) else ""
        text = f"of {len(value)} items" if isinstance(value, list) else text
        self.problem = f"must be {expected}, not {type(value).__name__} {text[:60]}".rstrip()
        self.path = ""
        super().__init__(self.problem)

    def within(self, step: str) -> "Malformed":
        """Put a step in front of the path."""
        self.path = step + self.path
        return self

    def __str__(self) -> str:
        return f"${self.path} {self.problem}"


@record
class Plan(Record):
    """How values of one type travel.

    Attributes:
        expected: the type, in words, for errors.
        wires: the classes that msgpack may give for it; a union tells its members apart by them.
        write: makes the msgpack value; None if the value is one already.
        read: checks and converts; None if being of the one class in `wires` is all.
        as_is: values of these classes, of those in `wires`, are read as they are: `read` need not be called for them.
        items: of a tuple's plan, the same of its items; None for all others.
        writes_message, reads_message: what `write` and `read` call for values that are messages; None if none may be.
    """

    expected: str
    wires: frozenset[type]
    write: Write | None = None
    read: Read | None = None
    as_is: frozenset[type] = frozenset()
    items: frozenset[type] | None = None
    writes_message: WriteOneOf | None = None
    reads_message: ReadOneOf | None = None


def scalar(expected: str, wire: type) -> Plan:
    """Plan a type whose values msgpack carries as they are."""
    return Plan(expected, frozenset({wire}), as_is=frozenset({wire}))


SCALARS: dict[Any, Plan] = {
    int: scalar("an int", int),
    str: scalar("a str", str),
    bool: scalar("a bool", bool),
    bytes: scalar("bytes", bytes),
    type(None): scalar("None", type(None)),
    None: scalar("None", type(None)),
}


def attach(value: Any, attachments: list[Any]) -> Any:
    """Return the msgpack value of an attachment: its bytes if small, else its place beside the body.

    Raises:
        TypeError: if it is not bytes, a bytearray or a contiguous memoryview.
    """
    if value.__class__ is bytes and len(value) <= INLINE_LIMIT:
        return value
    if isinstance(value, memoryview):
        value = value.cast("B") if value.format != "B" or value.ndim != 1 else value
    elif not isinstance(value, bytes | bytearray):
        raise TypeError(f"must be bytes, bytearray or memoryview, not {type(value).__name__}")
    if len(value) <= INLINE_LIMIT or len(attachments) >= MAX_ATTACHMENTS:
        return bytes(value)
    attachments.append(value)
    return len(attachments) - 1


def read_attachment(value: Any, attachments: Sequence[Any], bind: BindRef | None) -> Any:
    """Read what `attach` wrote."""
    if value.__class__ is bytes:
        return value
    if value.__class__ is int and 0 <= value < len(attachments):
        return attachments[value]
    raise Malformed(f"bytes or the number of one of {len(attachments)} attachments", value)


def read_float(value: Any, attachments: Sequence[Any], bind: BindRef | None) -> float:
    """Read a float; an int that a caller gave for one is taken."""
    if value.__class__ is float or value.__class__ is int:
        return float(value)
    raise Malformed("a float", value)


def read_address(value: Any, attachments: Sequence[Any], bind: BindRef | None) -> RpcAddress:
    """Read a host and a port."""
    if value.__class__ is list and len(value) == 2:
        host, port = value
        if host.__class__ is str and port.__class__ is int and 0 <= port <= 65535:
            return RpcAddress(host, port)
    raise Malformed("an address: host and port", value)


def write_ref(ref: Any, attachments: list[Any]) -> Any:
    """Write a ref as its name and address."""
    address = ref.address
    return (ref.name, None, 0) if address is None else (ref.name, address.host, address.port)


def read_ref(value: Any, attachments: Sequence[Any], bind: BindRef | None) -> RpcEndpointRef:
    """Read a name and an address and let the env make a ref of them."""
    if value.__class__ is not list or len(value) != 3 or value[0].__class__ is not str:
        raise Malformed("an endpoint ref: name, host and port", value)
    if bind is None:
        raise ProtocolError("an endpoint ref came to a place that has no RpcEnv to bind it")
    name, host, port = value
    return bind(name, None if host is None else read_address([host, port], attachments, bind))


FLOAT = Plan("a float", frozenset({float, int}), None, read_float, as_is=frozenset({float}))
ATTACHMENT = Plan("bytes", frozenset({bytes, int}), attach, read_attachment, as_is=frozenset({bytes}))
ADDRESS = Plan("an address", frozenset({list}), lambda value, _: (value.host, value.port), read_address)
REF = Plan("an endpoint ref", frozenset({list}), write_ref, read_ref)


def plan_enum(kind: type[enum.Enum]) -> Plan:
    """Plan an enum: its values travel."""
    members = {member.value: member for member in kind}
    wires = frozenset(type(int(value) if isinstance(value, int) else value) for value in members)
    if not wires <= {int, str}:
        raise TypeError(f"{kind.__name__}: only enums of int or str can travel")

    def read(value: Any, attachments: Sequence[Any], bind: BindRef | None) -> Any:
        if value.__class__ in wires and value in members:
            return members[value]
        raise Malformed(f"a {kind.__name__}", value)

    write: Write | None = None if issubclass(kind, int | str) else (lambda value, _: value.value)
    return Plan(f"a {kind.__name__}", wires, write, read)


def plan_literal(values: tuple[Any, ...]) -> Plan:
    """Plan a Literal."""
    allowed = {(type(value), value) for value in values}
    wires = frozenset(type(value) for value in values)
    expected = "one of " + ", ".join(map(repr, values))

    def read(value: Any, attachments: Sequence[Any], bind: BindRef | None) -> Any:
        if value.__class__ in wires and (value.__class__, value) in allowed:
            return value
        raise Malformed(expected, value)

    return Plan(expected, wires, None, read)


def read_items(
    values: Any,
    item: Plan,
    attachments: Sequence[Any],
    bind: BindRef | None,
    names: Sequence[Any] | None = None,
) -> list[Any]:
    """Read the items of a list; one that is malformed is named by its index, or by its name."""
    if values.__class__ is not list:
        raise Malformed("a list", values)
    if item.read is None:
        if not item.wires.issuperset(map(type, values)):
            index = next(index for index, value in enumerate(values) if type(value) not in item.wires)
            raise Malformed(item.expected, values[index]).within(step(index, names))
        return values
    read = item.read
    result: list[Any] = []
    try:
        for value in values:
            result.append(read(value, attachments, bind))
    except Malformed as problem:
        index = len(result)
        raise problem.within(step(index, names)) from None
    return result


def step(index: int, names: Sequence[Any] | None) -> str:
    """Return the step of a path to an item; a name may be as long as a stranger likes."""
    return f"[{repr(names[index])[:60]}]" if names else f"[{index}]"


def plan_items(make: Callable[[Any], Any], item: Plan, expected: str, *, ordered: bool = True) -> Plan:
    """Plan a collection of equal items; sets are sorted, so that equal messages have equal bytes."""
    item_write = item.write
    known = item.writes_message.known if item.writes_message else {}
    as_is = item.as_is

    def read(value: Any, attachments: Sequence[Any], bind: BindRef | None) -> Any:
        if value.__class__ is list and as_is.issuperset(map(type, value)):  # many are empty, too
            return make(value)
        return make(read_items(value, item, attachments, bind))

    def write(value: Any, attachments: list[Any]) -> Any:
        values = value if ordered else sorted(value)
        if item_write is None:
            return list(values)
        return [(known.get(each.__class__) or item_write)(each, attachments) for each in values]

    writes = None if ordered and item_write is None else write
    return Plan(expected, frozenset({list}), writes, read, items=as_is if make is tuple else None)


def plan_record(items: list[Plan], expected: str) -> Plan:
    """Plan a tuple of fixed length."""

    def write(value: Any, attachments: list[Any]) -> Any:
        if len(value) != len(items):
            raise TypeError(f"must have {len(items)} items, not {len(value)}")
        return [i.write(v, attachments) if i.write else v for i, v in zip(items, value, strict=True)]

    def read(value: Any, attachments: Sequence[Any], bind: BindRef | None) -> Any:
        if value.__class__ is not list or len(value) != len(items):
            raise Malformed(expected, value)
        return tuple(
            read_items([each], item, attachments, bind, [index])[0]
            for index, (item, each) in enumerate(zip(items, value, strict=True))
        )

    return Plan(expected, frozenset({list}), write, read)


def plan_dict(key: Plan, item: Plan, expected: str) -> Plan:
    """Plan a dict; its order travels."""
    if not key.wires <= {int, str, bytes, bool}:
        raise TypeError(f"keys must be int, str, bytes or bool, not {key.expected}")
    key_write, item_write = key.write, item.write
    key_is, item_is = key.as_is, item.as_is

    def write(value: Any, attachments: list[Any]) -> Any:
        return {
            key_write(k, attachments) if key_write else k: item_write(v, attachments) if item_write else v
            for k, v in value.items()
        }

    def read(value: Any, attachments: Sequence[Any], bind: BindRef | None) -> Any:
        if value.__class__ is not dict:
            raise Malformed(expected, value)
        if key_is.issuperset(map(type, value)) and item_is.issuperset(map(type, value.values())):
            return value
        names = list(value)
        keys = read_items(names, key, attachments, bind, names)
        return dict(zip(keys, read_items(list(value.values()), item, attachments, bind, names), strict=True))

    return Plan(expected, frozenset({dict}), write if key_write or item_write else None, read)
