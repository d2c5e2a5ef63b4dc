"""Envelopes: what a frame's body says beside the message: to which endpoint, or of which ask the answer.

The body is one msgpack array: `[ONE_WAY, endpoint, message]`, `[ASK, endpoint, message, id]`, `[REPLY, id, message]`
or `[FAILURE, id, type, text]`. The sender's address is not in it: the handshake said it for the whole connection.
"""

from typing import Any, NamedTuple

from minispark.errors import ProtocolError
from minispark.rpc.logic.codec import pack, packer, surrogate_packer, to_wire, unpack
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
    if wire.__class__ is list:
        classes = [each.__class__ for each in wire]
        match wire:
            case [0, endpoint, message] if classes[:2] == [int, str]:
                return Envelope(ONE_WAY, endpoint, 0, message)
            case [1, endpoint, message, ask_id] if classes[:2] == [int, str] and classes[3] is int:
                return Envelope(ASK, endpoint, ask_id, message)
            case [2, ask_id, message] if classes[:2] == [int, int]:
                return Envelope(REPLY, "", ask_id, message)
            case [3, ask_id, type_name, text] if classes == [int, int, str, str]:
                return Envelope(FAILURE, "", ask_id, None, (type_name, text))
    raise ProtocolError("a frame's body is not an envelope: kind, endpoint or id, message")
