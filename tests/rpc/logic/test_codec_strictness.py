"""What a hostile peer may send in place of any value of any message: nothing that the type hints do not allow."""

import enum
import types
from typing import Any, Literal, NewType, Union, get_args, get_origin

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from minispark.errors import ProtocolError
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.codec import decode, encode, to_wire
from minispark.rpc.ref import RpcEndpointRef
from minispark.testing.fakes import RecordingRef
from tests.rpc.samples import all_messages, bind_fake, hints_of, sample

MESSAGES = all_messages()
JUNK: list[Any] = [
    None, True, False, 0, 1, -1, 2**63, -(2**63), 1.5, "", "x", "\ud800", b"", b"x", [], {}, [1], ["a"], [None], [[]],
    [True], [32002], [32002, b"x"], ["h", 5], ["h", -1], ["n", "h", 5], ["n", None, 0], ["n", 5, 5], {"a": 1}, {1: 2},
    {None: 1}, {b"k": b"v"}, msgpack.ExtType(5, b"x"), msgpack.Timestamp(1, 1),
]  # fmt: skip


def plain(made: Any) -> Any:
    """Return the lists and dicts that stand for a message on the wire."""
    return msgpack.unpackb(msgpack.packb(to_wire(made, [])), strict_map_key=False)


WIRES = {cls: plain(sample(cls)) for cls in MESSAGES.values()}


def changed(data: st.DataObject, wire: Any) -> Any:
    """Return a value with something else in its place, or in the place of something in it."""
    if type(wire) is list and wire and data.draw(st.integers(0, 7)):
        index = data.draw(st.integers(0, len(wire) - 1))
        return [*wire[:index], changed(data, wire[index]), *wire[index + 1 :]]
    if type(wire) is dict and wire and data.draw(st.booleans()):
        return {key: changed(data, value) for key, value in wire.items()}
    longer = [[*wire, each] for each in JUNK] + [wire[:-1]] if type(wire) is list else []
    return data.draw(st.sampled_from(JUNK + longer + list(WIRES.values())))


def conforms(value: Any, hint: Any) -> bool:
    """Tell, without the codec, whether a value is of a type."""
    while isinstance(hint, NewType):
        hint = hint.__supertype__
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        return any(conforms(value, each) for each in arguments)
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in arguments)
    if origin is not None:
        return type(value) is origin and collection_conforms(value, origin, arguments)
    if hint is RpcEndpointRef:
        return type(value) is RecordingRef
    if hint is RpcAddress:
        return type(value) is RpcAddress and type(value.host) is str and type(value.port) is int
    if hint is None or type(value) is not hint:
        return value is hint
    is_message = hint.__module__.startswith("minispark.") and not issubclass(hint, enum.Enum)
    return not is_message or all(conforms(getattr(value, name), each) for name, each in hints_of(hint).items())


def collection_conforms(value: Any, origin: Any, arguments: tuple[Any, ...]) -> bool:
    """Tell the same of what is in a collection."""
    if origin is dict:
        return all(conforms(key, arguments[0]) and conforms(each, arguments[1]) for key, each in value.items())
    if origin is tuple and arguments[-1] is not Ellipsis:
        return len(value) == len(arguments) and all(map(conforms, value, arguments))
    return all(conforms(each, arguments[0]) for each in value)


@settings(max_examples=150)
@given(st.data())
def test_what_is_put_in_place_of_any_value_is_of_its_type_or_refused(data: st.DataObject) -> None:
    wire = data.draw(st.sampled_from(list(WIRES.values())))
    for _ in range(data.draw(st.integers(1, 2))):
        wire = changed(data, wire)

    try:
        got = decode(msgpack.packb(wire, unicode_errors="surrogatepass"), [b"beside"], bind_fake)
    except ProtocolError:
        return

    assert type(got) in MESSAGES.values()
    assert conforms(got, type(got))
    assert decode(encode(got)[0], [b"beside"], bind_fake) == got
