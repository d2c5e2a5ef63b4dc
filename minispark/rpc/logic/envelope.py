"""Envelopes: what a frame's body says beside the message: to which endpoint, or of which ask the answer.

The body is one msgpack array: `[ONE_WAY, endpoint, message]`, `[ASK, endpoint, message, id]`, `[REPLY, id, message]`
or `[FAILURE, id, type, text]`. The sender's address is not in it: the handshake said it for the whole connection.
"""

from typing import Any, NamedTuple

from minispark.errors import ProtocolError
from minispark.rpc.logic.codec import (
    UNENCODABLE,
    build,
    pack,
    packer,
    surrogate_packer,
    to_wire,
    unpack,
    writers,
)
from minispark.rpc.message import Attachment, Message

__all__ = [
    "ASK",
    "FAILURE",
    "ONE_WAY",
    "REPLY",
    "Envelope",
    "Packed",
    "open_envelope",
    "pack_ask",
    "pack_failure",
    "pack_one_way",
    "pack_reply",
]

ONE_WAY, ASK, REPLY, FAILURE = 0, 1, 2, 3

Packed = tuple[bytes, list[Attachment]]
"""A frame's body and its attachments."""


class Envelope(NamedTuple):
    """An opened envelope; what a kind does not have is empty. The message is not decoded yet."""

    kind: int
    endpoint: str
    ask_id: int
    wire: Any
    failure: tuple[str, str] = ("", "")


def pack_one_way(endpoint: str, message: Message) -> Packed:
    """Return the frame's content of a one-way message; raises ProtocolError if it cannot be encoded."""
    attachments: list[Attachment] = []
    try:
        write = writers.get(message.__class__) or build(message.__class__)
        return packer.pack((ONE_WAY, endpoint, write(message, attachments))), attachments
    except UNENCODABLE:
        attachments = []  # what follows takes its time and says what is wrong
        return pack((ONE_WAY, endpoint, to_wire(message, attachments)), message), attachments


def pack_ask(endpoint: str, message: Message, ask_id: int) -> Packed:
    """Return the frame's content of an ask; raises ProtocolError if it cannot be encoded."""
    attachments: list[Attachment] = []
    return pack((ASK, endpoint, to_wire(message, attachments), ask_id), message), attachments


def pack_reply(ask_id: int, message: Message) -> Packed:
    """Return the frame's content of a reply; raises ProtocolError if it cannot be encoded."""
    attachments: list[Attachment] = []
    return pack((REPLY, ask_id, to_wire(message, attachments)), message), attachments


def pack_failure(ask_id: int, type_name: str, text: str) -> Packed:
    """Return the frame's content of an ask's failure."""
    wire = (FAILURE, ask_id, type_name, text)
    try:
        return packer.pack(wire), []
    except UnicodeEncodeError:
        return surrogate_packer.pack(wire), []


def open_envelope(body: bytes | memoryview) -> Envelope:
    """Read an envelope.

    Raises:
        ProtocolError: it is not one.
    """
    wire = unpack(body)
    if wire.__class__ is list and len(wire) >= 3:
        kind, second, third = wire[:3]
        count = len(wire)
        if kind.__class__ is not int:
            pass
        elif kind <= ASK and second.__class__ is str:
            if kind == ONE_WAY and count == 3:
                return Envelope(ONE_WAY, second, 0, third)
            if kind == ASK and count == 4 and wire[3].__class__ is int:
                return Envelope(ASK, second, wire[3], third)
        elif kind == REPLY and count == 3 and second.__class__ is int:
            return Envelope(REPLY, "", second, third)
        elif kind == FAILURE and count == 4 and [each.__class__ for each in wire] == [int, int, str, str]:
            return Envelope(FAILURE, "", second, None, (third, wire[3]))
    raise ProtocolError("a frame's body is not an envelope: kind, endpoint or id, message")
