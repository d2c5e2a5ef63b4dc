"""Messages to bytes and back: one msgpack array per message, its tag first, its fields in order.

For each message class two functions are compiled at first use from its type hints: straight-line code, no loop over
fields. Decoding checks every value against the hints and never runs code of the sender. Used by the RpcEnv (through
`logic.envelope`) and, without asyncio, by runner processes. Large `Attachment` fields stay beside the body.
"""

import dataclasses
import typing
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgpack

from minispark.errors import ProtocolError
from minispark.rpc.logic.planner import Planner
from minispark.rpc.logic.shapes import INLINE_LIMIT, BindRef, Malformed, Plan, Read, Write, attach
from minispark.rpc.message import Attachment, Message, registered_messages

__all__ = ["MAX_ITEMS", "decode", "encode", "from_wire", "pack", "reply_types", "to_wire", "unpack"]

MAX_ITEMS = 1 << 20
"""The most items of one list or dict in a message."""

T = TypeVar("T", bound=Message)

packer = msgpack.Packer(autoreset=True)
# Texts with lone surrogates (file names, tracebacks) travel too; only they pay for it.
surrogate_packer = msgpack.Packer(autoreset=True, unicode_errors="surrogatepass")

# Of its own accord msgpack lets no list say that it has more items than the body has bytes, so that small bodies of
# strangers cannot have it make room for many; in larger ones the bound is ours.
STRICT: Final[dict[str, Any]] = {"strict_map_key": False, "unicode_errors": "surrogatepass"}
STRICT_LARGE: Final[dict[str, Any]] = STRICT | {"max_array_len": MAX_ITEMS, "max_map_len": MAX_ITEMS}
# What compiled functions and msgpack raise when a value is not what the type hint says.
UNENCODABLE = (TypeError, ValueError, AttributeError, KeyError, OverflowError)
UNDECODABLE = (ValueError, TypeError, msgpack.exceptions.UnpackException, RecursionError, Malformed)

writers: dict[type[Any], Write] = {}
readers: dict[int, Read] = {}


def encode(message: Message) -> tuple[bytes, list[Attachment]]:
    """Return the message's msgpack body and its large attachments, in order, not copied.

    Raises:
        ProtocolError: a field holds what its type hint does not allow; the text names the field.
    """
    attachments: list[Attachment] = []
    try:
        write = writers.get(message.__class__) or build(message.__class__)
        return packer.pack(write(message, attachments)), attachments
    except UNENCODABLE:
        attachments = []  # what follows takes its time and says what is wrong
        return pack(to_wire(message, attachments), message), attachments


def decode(
    body: bytes | bytearray | memoryview, attachments: Sequence[Attachment] = (), bind: BindRef | None = None
) -> Any:
    """Return the message of a body and its attachments, all values checked.

    Args:
        bind: makes refs of what came over the wire; without it a message that holds one is refused.

    Raises:
        ProtocolError: it is not a message; the text says which and names the path of the wrong value.
    """
    try:
        wire = msgpack.unpackb(body, **(STRICT if len(body) <= MAX_ITEMS else STRICT_LARGE))
        read = readers.get(wire[0]) if wire.__class__ is list and wire and wire[0].__class__ is int else None
        if read is not None:
            return read(wire, attachments, bind)
    except UNDECODABLE:
        pass
    return from_wire(unpack(body), attachments, bind)  # takes its time, and says what is wrong


def pack(wire: Any, message: Message) -> bytes:
    """Return the msgpack bytes of a value that holds a message's `to_wire`.

    Raises:
        ProtocolError: msgpack cannot carry a value in it.
    """
    try:
        try:
            return packer.pack(wire)
        except UnicodeEncodeError:
            return surrogate_packer.pack(wire)
    except UNENCODABLE as error:
        raise ProtocolError(f"{type(message).__name__} cannot be encoded: {blame(message)}{error}") from None


def unpack(body: bytes | bytearray | memoryview) -> Any:
    """Return the plain values of a msgpack body.

    Raises:
        ProtocolError: it is not exactly one msgpack value, or a list in it is too long or nested too deeply.
    """
    try:
        return msgpack.unpackb(body, **(STRICT if len(body) <= MAX_ITEMS else STRICT_LARGE))
    except UNDECODABLE as error:
        raise ProtocolError(f"not a msgpack body of {len(body)} bytes: {error}") from None


def to_wire(message: Message, attachments: list[Attachment]) -> Any:
    """Return the message as plain values for msgpack; large attachments are appended to the list."""
    try:
        return (writers.get(message.__class__) or build(message.__class__))(message, attachments)
    except UNENCODABLE as error:
        raise ProtocolError(f"{type(message).__name__} cannot be encoded: {blame(message)}{error}") from None


def from_wire(wire: Any, attachments: Sequence[Attachment], bind: BindRef | None = None) -> Any:
    """Return the message that plain values stand for, all of them checked."""
    tag = wire[0] if wire.__class__ is list and wire else None
    read = readers.get(tag) if tag.__class__ is int else None
    if read is None:
        read = reader_of(tag)
    try:
        return read(wire, attachments, bind)
    except Malformed as problem:
        raise ProtocolError(f"malformed {registered_messages()[wire[0]].__name__}: {problem}") from None
    except (TypeError, ValueError, RecursionError) as error:  # from a class's own __post_init__, or of messages in it
        raise ProtocolError(f"malformed {registered_messages()[wire[0]].__name__}: {error}") from None


def reader_of(tag: Any) -> Read:
    """Build the reader of a tag.

    Raises:
        ProtocolError: no message has that tag.
    """
    cls = registered_messages().get(tag) if tag.__class__ is int else None
    if cls is None:
        what = f"tag {tag}" if tag.__class__ is int else f"a {type(tag).__name__} in place of the tag"
        raise ProtocolError(f"no message is known by {what}; do both sides run the same version of minispark?")
    build(cls)
    return readers[tag]


def blame(message: object) -> str:
    """Return the path of the first field that cannot travel, for an error."""
    cls: type[Any] = type(message)
    if registered_messages().get(getattr(cls, "TAG", -1)) is not cls:
        return "it is not declared with @message; "
    for name, plan in plans_of(cls).items():
        try:
            value = getattr(message, name)
            surrogate_packer.pack(plan.write(value, []) if plan.write else value)
        except (*UNENCODABLE, ProtocolError):
            return f"$.{name} must be {plan.expected}: "
    return ""


def reply_types(cls: type[Message]) -> tuple[type, ...]:
    """Return the classes that a request's reply may have: the X of its base `Ask[X]`."""
    for base in getattr(cls, "__orig_bases__", ()):
        for argument in typing.get_args(base):
            members = typing.get_args(argument) or (argument,)
            return tuple(member for member in members if isinstance(member, type))
    return ()


class MessageWriter:
    """Writes a field that holds a message of one of some classes.

    Attributes:
        known: the writers by class, of those that came; compiled functions look here first.
    """

    def __init__(self, classes: frozenset[type[Message]]) -> None:
        self.classes = classes
        self.known: dict[type[Any], Write] = {}

    def __call__(self, value: Any, attachments: list[Any]) -> Any:
        """Write a message with its tag."""
        cls = value.__class__
        if cls not in self.classes and Message not in self.classes:
            raise TypeError(f"got a {cls.__name__}")
        self.known[cls] = write = writers.get(cls) or build(cls)
        return write(value, attachments)


class MessageReader:
    """Reads a field that holds a message of one of some classes.

    Attributes:
        known: the readers by tag, of those that came; compiled functions look here first.
    """

    def __init__(self, classes: frozenset[type[Message]]) -> None:
        self.expected = "a " + " or ".join(sorted(cls.__name__ for cls in classes))
        self.tags = frozenset(cls.TAG for cls in classes if cls is not Message)
        self.known: dict[int, Read] = {}

    def __call__(self, value: Any, attachments: Sequence[Any], bind: BindRef | None) -> Any:
        """Check the tag and read the message."""
        tag = value[0] if value.__class__ is list and value else None
        if tag.__class__ is not int:
            raise Malformed(self.expected, value)
        if self.tags and tag not in self.tags:
            other = registered_messages().get(tag)
            raise Malformed(f"{self.expected}, not {other.__name__}" if other else self.expected, value)
        self.known[tag] = read = readers.get(tag) or reader_of(tag)
        return read(value, attachments, bind)


planner = Planner(MessageWriter, MessageReader)


def plans_of(cls: type[Any]) -> dict[str, Plan]:
    """Return how each field of a message class travels.

    Raises:
        TypeError: a field's type cannot travel; the text names class and field.
    """
    hints = typing.get_type_hints(cls)
    plans: dict[str, Plan] = {}
    for field in dataclasses.fields(cls):
        try:
            plans[field.name] = planner.plan(hints[field.name])
        except TypeError as error:
            raise TypeError(f"{cls.__name__}.{field.name}: {error}") from None
    return plans


def build(cls: type[Any]) -> Write:
    """Compile the two functions of a message class and return the one that writes."""
    if registered_messages().get(getattr(cls, "TAG", -1)) is not cls:
        raise TypeError(f"{cls.__name__} is not declared with @message")
    plans = plans_of(cls)
    namespace: dict[str, Any] = {"Message": cls, "Malformed": Malformed, "fill": filler(cls, len(plans))}
    for index, plan in enumerate(plans.values()):
        namespace |= {f"write{index}": plan.write, f"read{index}": plan.read, f"expected{index}": plan.expected}
        if plan.writes_message is not None:
            namespace[f"writers{index}"] = plan.writes_message.known
        if plan.reads_message is not None:
            namespace[f"readers{index}"] = plan.reads_message.known
        if len(plan.as_is) == 1:
            (namespace[f"class{index}"],) = plan.as_is
        namespace[f"items{index}"] = plan.items
    code = write_source(cls, plans) + read_source(plans)
    exec(compile(code, f"<codec of {cls.__name__}>", "exec"), namespace)
    writers[cls] = write = namespace["write"]
    readers[cls.TAG] = namespace["read"]
    return typing.cast(Write, write)


def write_source(cls: type[Message], plans: dict[str, Plan]) -> str:
    """Return the source of `write(message, attachments)`, a tuple display."""
    items = [str(cls.TAG)]
    for index, (name, plan) in enumerate(plans.items()):
        value = f"m.{name}"
        if plan.writes_message is not None:
            items.append(f"(writers{index}.get({value}.__class__) or write{index})({value}, attachments)")
        elif plan.write and plan.items is not None:  # a tuple: many are empty
            items.append(f"() if {value} == () else write{index}({value}, attachments)")
        elif plan.write is attach:
            is_plain = f"{value}.__class__ is bytes and len({value}) <= {INLINE_LIMIT}"
            items.append(f"{value} if {is_plain} else write{index}({value}, attachments)")
        else:
            items.append(f"write{index}({value}, attachments)" if plan.write else value)
    return f"def write(m, attachments):\n    return ({', '.join(items)},)\n"


def read_source(plans: dict[str, Plan]) -> str:
    """Return the source of `read(wire, attachments, bind)`: count, check and convert each field, construct.

    A field's own function is called only if looking at the value's class does not do.
    """
    fields = [f"f{index}" for index in range(len(plans))]
    lines = ["def read(wire, attachments, bind):"]
    lines.append(f"    if len(wire) != {len(plans) + 1}: wire = fill(wire)")
    lines.append(f"    _, {', '.join(fields)} = wire" if fields else "    pass")
    for index, (name, plan) in enumerate(plans.items()):
        field = fields[index]
        read = f"read{index}"
        if plan.read is None:
            lines.append(f"    if {field}.__class__ is not class{index}:")
            lines.append(f"        raise Malformed(expected{index}, {field}).within('.{name}')")
            continue
        if plan.reads_message is not None:
            is_tagged = f"{field}.__class__ is list and {field} and {field}[0].__class__ is int"
            read = f"({is_tagged} and readers{index}.get({field}[0]) or {read})"
        converted = f"{read}({field}, attachments, bind)"
        if len(plan.as_is) == 1:
            converted = f"{field} if {field}.__class__ is class{index} else {converted}"
        elif plan.items is not None:
            are_plain = f"{field}.__class__ is list and items{index}.issuperset(map(type, {field}))"
            converted = f"tuple({field}) if {are_plain} else {converted}"
        lines.append(f"    try: {field} = {converted}")
        lines.append(f"    except Malformed as problem: raise problem.within('.{name}')")
    lines.append(f"    return Message({', '.join(fields)})")
    return "\n".join(lines) + "\n"


def filler(cls: type[Any], count: int) -> Callable[[list[Any]], list[Any]]:
    """Return the function that completes a list of too few values from an older writer with the defaults."""
    defaults: list[Any] = []
    for field in reversed(dataclasses.fields(cls)):
        if field.default is dataclasses.MISSING:
            break
        defaults.insert(0, field.default)

    def fill(wire: list[Any]) -> list[Any]:
        missing = count + 1 - len(wire)
        if not 0 < missing <= len(defaults):
            raise Malformed(f"a {cls.__name__} of {count} fields and its tag", wire)
        rest = [to_wire(value, []) if isinstance(value, Message) else value for value in defaults[-missing:]]
        return wire + list(unpack(packer.pack(rest)))

    return fill
