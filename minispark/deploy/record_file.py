"""The bytes of a record on disk: a message of `messages.deploy_records` with a checksum.

A line that names the format, 16 bytes of BLAKE2b over the rest, then the length of the body, the number and lengths
of the attachments, body and attachments. Used by `deploy.persistence`. Source: Spark's FileSystemPersistenceEngine,
which uses Java's serialisation.
"""

import hashlib
import struct
from pathlib import Path
from typing import Final

from minispark.errors import ProtocolError, RecoveryStateError
from minispark.messages.deploy_records import ApplicationEntry, ClusterEntry, DriverEntry, WorkerEntry
from minispark.rpc.logic.codec import decode, encode
from minispark.rpc.logic.shapes import BindRef

__all__ = ["parse_record", "read_record", "record_bytes"]

NAME: Final = b"minispark record "
HEADER: Final = NAME + b"1\n"
DIGEST_SIZE: Final = 16
COUNTS: Final = struct.Struct(">II")
LENGTH: Final = struct.Struct(">I")


def record_bytes(entry: ClusterEntry) -> bytes:
    """Return the content of a record's file."""
    body, attachments = encode(entry)
    lengths = b"".join(LENGTH.pack(len(attachment)) for attachment in attachments)
    rest = b"".join([COUNTS.pack(len(body), len(attachments)), lengths, body, *attachments])
    return HEADER + digest(rest) + rest


def read_record(path: Path, bind: BindRef) -> ClusterEntry:
    """Read a record's file, whose name says which record it must be.

    Raises:
        RecoveryStateError: it is damaged, or of another version; the text names the file and says what to do.
    """
    return parse_record(str(path), path.read_bytes(), bind)


def parse_record(name: str, content: bytes, bind: BindRef) -> ClusterEntry:
    """Return the record in a file's content.

    Args:
        name: the file, for an error; its last part is the record's key.
        content: its bytes.
        bind: makes the refs in it.

    Raises:
        RecoveryStateError: as of `read_record`.
    """
    if not content.startswith(HEADER):
        if content.startswith(NAME):
            raise RecoveryStateError(f"{name} was written by another version of minispark; start that one again")
        raise damaged(name, "it is not a record of minispark")
    sum_end = len(HEADER) + DIGEST_SIZE
    rest = content[sum_end:]
    if digest(rest) != content[len(HEADER) : sum_end]:
        raise damaged(name, "its checksum is wrong")
    try:
        entry = parse(rest, bind)
    except (ProtocolError, struct.error) as error:
        raise damaged(name, str(error)) from error
    if not isinstance(entry, WorkerEntry | ApplicationEntry | DriverEntry) or entry.key != key_in(name):
        raise damaged(name, "it holds another record than its name says")
    return entry


def parse(rest: bytes, bind: BindRef) -> object:
    """Return the message of a record whose checksum is right."""
    body_length, count = COUNTS.unpack_from(rest)
    lengths = [LENGTH.unpack_from(rest, COUNTS.size + LENGTH.size * index)[0] for index in range(count)]
    start = COUNTS.size + LENGTH.size * count
    parts = []
    for length in (body_length, *lengths):
        parts.append(rest[start : start + length])
        start += length
    return decode(parts[0], parts[1:], bind)


def damaged(name: str, what: str) -> RecoveryStateError:
    """Return the error of a file that cannot be read."""
    kind = key_in(name).partition("_")[0]
    return RecoveryStateError(
        f"{name} is damaged: {what}. Restore it from a copy, or move it away to give up the {kind} that it is about; "
        f"then start the master again"
    )


def key_in(name: str) -> str:
    """Return the record's key, which is the last part of its file's name."""
    return name.rpartition("/")[2]


def digest(content: bytes) -> bytes:
    """Return the checksum."""
    return hashlib.blake2b(content, digest_size=DIGEST_SIZE).digest()
