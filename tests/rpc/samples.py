"""Sample messages from type hints: one fixed sample of every message, and hypothesis strategies."""

import dataclasses
import enum
import importlib
import pkgutil
import types
import typing
from typing import Any, Literal, NewType, Union, get_args, get_origin

from hypothesis import strategies as st

import minispark.messages
from minispark.rpc import bulk, file_server, verifier
from minispark.rpc.logic import handshake
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.message import Message, registered_messages
from minispark.rpc.ref import RpcEndpointRef
from minispark.testing.fakes import RecordingRef

__all__ = ["all_messages", "bind_fake", "messages_of", "sample"]

RPC_MODULES = (bulk, file_server, verifier, handshake)
ATTACHMENT = frozenset({bytes, bytearray, memoryview})


def all_messages() -> dict[int, type[Any]]:
    """Return every message class that minispark declares, by tag."""
    for module in pkgutil.iter_modules(minispark.messages.__path__):
        importlib.import_module(f"minispark.messages.{module.name}")
    known = registered_messages()
    return {tag: cls for tag, cls in sorted(known.items()) if cls.__module__.startswith("minispark.")}


def bind_fake(name: str, address: RpcAddress | None) -> RpcEndpointRef:
    """Bind a decoded ref to nobody."""
    return RecordingRef(name, address)


def hints_of(cls: type[Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def sample(cls: type[Any]) -> Any:
    """Return the fixed sample of a message class: each field tells its position."""
    return cls(*(fixed(hint, position) for position, hint in enumerate(hints_of(cls).values(), 1)))


def members_of(hint: Any) -> list[Any] | None:
    """Return the members of a union, an attachment as bytes; None if it is not one."""
    if get_origin(hint) not in {Union, types.UnionType}:
        return None
    members = list(get_args(hint))
    if set(members) >= ATTACHMENT:
        members = [bytes, *(each for each in members if each not in ATTACHMENT)]
    return members


def fixed(hint: Any, position: int) -> Any:
    """Return the fixed value of a type; of a union's members, the first that is not None."""
    while isinstance(hint, NewType):
        hint = hint.__supertype__
    if members := members_of(hint):
        return fixed(next(each for each in members if each is not type(None)), position)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return arguments[-1]
    if origin is dict:
        return {fixed(arguments[0], position): fixed(arguments[1], position)}
    if origin in {tuple, list, set, frozenset}:
        return origin(fixed(each, position) for each in arguments if each is not Ellipsis)
    plain: dict[Any, Any] = {
        int: position, str: f"text {position}", bool: True, bytes: b"bytes %d" % position, float: position / 2,
        RpcAddress: RpcAddress("host", position), RpcEndpointRef: RecordingRef(f"endpoint {position}"),
    }  # fmt: skip
    if hint in plain:
        return plain[hint]
    return list(hint)[-1] if issubclass(hint, enum.Enum) else sample(hint)


INTEGERS = st.integers(-(2**63), 2**64 - 1)
BYTES = st.binary(max_size=40) | st.integers(4000, 9000).map(lambda size: b"z" * size)


def messages_of(cls: type[Message]) -> st.SearchStrategy[Any]:
    """Return the strategy of all messages of a class."""
    return st.builds(cls, *(strategy(hint) for hint in hints_of(cls).values()))


def strategy(hint: Any) -> st.SearchStrategy[Any]:
    """Return the strategy of all values of a type."""
    while isinstance(hint, NewType):
        hint = hint.__supertype__
    if members := members_of(hint):
        return st.one_of([BYTES if each is bytes else strategy(each) for each in members])
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is dict:
        return st.dictionaries(strategy(arguments[0]), strategy(arguments[1]), max_size=3)
    if origin in {set, frozenset}:
        return st.frozensets(strategy(arguments[0]), max_size=3)
    if origin is tuple and arguments[-1] is not Ellipsis:
        return st.tuples(*map(strategy, arguments))
    if origin in {tuple, list}:
        return st.lists(strategy(arguments[0]), max_size=3).map(origin)
    addresses = st.builds(RpcAddress, st.text(max_size=9), st.integers(0, 65535))
    plain: dict[Any, st.SearchStrategy[Any]] = {
        int: INTEGERS, str: st.text(max_size=9), bool: st.booleans(), bytes: BYTES, type(None): st.none(),
        float: st.floats(allow_nan=False), RpcAddress: addresses,
        RpcEndpointRef: st.builds(RecordingRef, st.text(max_size=9), st.none() | addresses),
    }  # fmt: skip
    if hint in plain:
        return plain[hint]
    return st.sampled_from(list(hint)) if issubclass(hint, enum.Enum) else messages_of(hint)
