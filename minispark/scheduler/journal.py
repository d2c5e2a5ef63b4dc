"""The journal's file: a header, then an entry for each message that the schedulers took, in order.

`recording.Recorder` writes it while an application runs; `replay` reads it. The file is a line that names the format
and then frames: four bytes of length and a msgpack array. Nothing here knows what messages mean.
"""

import logging
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import BinaryIO

import msgpack

from minispark.errors import JournalError
from minispark.record import Record, record
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World

__all__ = ["JournalEntry", "JournalHeader", "JournalWriter", "python_version", "read_journal"]

logger = logging.getLogger(__name__)

FORMAT = b"minispark journal 1\n"
LENGTH = struct.Struct(">I")
MAX_FRAME = 256 << 20
FLUSH_BYTES = 256 << 10
FLUSH_S = 0.5
MAX_WAITING = 64 << 20


@record
class JournalHeader(Record):
    """What a replay needs to know before the first message.

    Attributes:
        version: of minispark.
        python: the interpreter's version.
        conf: the settings that were set, of those that the schedulers read.
        max_failures: failures of one task that give its set up.
        seed: of the schedulers' chance.
        pools: the configured pools: name, mode, minimum share, weight, parent.
        replaces_executors: whether the backend could end executors so that others come in their place.
    """

    version: str
    python: str
    conf: dict[str, str]
    max_failures: int
    seed: int
    pools: list[list[object]]
    replaces_executors: bool = False


@dataclass(slots=True)
class JournalEntry:
    """One message, or one call, and what came of it.

    Attributes:
        number: counts from 0.
        wall_s: the time, since the epoch, that the schedulers saw all through it.
        monotonic_s: the same on the clock that never goes back.
        target: who took it.
        body: the message without its payloads, or the arguments of the call, packed.
        reads: what was read of others meanwhile (how many tasks can run at once), in order.
        decisions: how many there were.
        digest: of their texts.
    """

    number: int
    wall_s: float
    monotonic_s: float
    target: str
    body: bytes
    reads: list[object] = field(default_factory=list)
    decisions: int = 0
    digest: int = 0


HEADER_FIELDS = [each.name for each in fields(JournalHeader)]
ENTRY_FIELDS = [each.name for each in fields(JournalEntry)]


def frame_of(value: JournalHeader | JournalEntry, names: list[str]) -> bytes:
    """Return the frame of a header or an entry."""
    body: bytes = msgpack.packb([getattr(value, name) for name in names])
    return LENGTH.pack(len(body)) + body


class JournalWriter:
    """Writes frames to a file, off the loop, a few times a second.

    An error of the disk, or a disk that is much too slow, ends the journal with one warning and harms nothing else.

    Args:
        path: the file; one that exists is replaced.
        world: its timers and threads.
        scope: owns the writing.
        header: what the file begins with.

    Attributes:
        failed: whether it has given up.
    """

    def __init__(self, path: Path, world: World, scope: TaskScope, header: JournalHeader) -> None:
        self.path = path
        self.world = world
        self.scope = scope
        self.waiting = [FORMAT, frame_of(header, HEADER_FIELDS)]
        self.num_bytes = 0
        self.writing = False
        self.timer_is_set = False
        self.failed = False
        self.file: BinaryIO | None = None

    def add(self, entry: JournalEntry) -> None:
        """Take an entry; it is in the file within about half a second."""
        if self.failed:
            return
        frame = frame_of(entry, ENTRY_FIELDS)
        self.waiting.append(frame)
        self.num_bytes += len(frame)
        if self.num_bytes > MAX_WAITING:
            self.give_up(f"{self.num_bytes:,} bytes wait to be written: the disk is too slow")
        elif self.num_bytes >= FLUSH_BYTES:
            self.start_writing()
        elif not self.timer_is_set:
            self.timer_is_set = True
            self.world.call_later(FLUSH_S, self.time_to_write)

    def time_to_write(self) -> None:
        """Write what has come since the timer was set."""
        self.timer_is_set = False
        self.start_writing()

    def start_writing(self) -> None:
        """Write what waits, unless that happens already or the scope is closed: then `close` writes the rest."""
        if self.waiting and not self.writing and not self.scope.closed:
            self.writing = True
            self.scope.spawn(self.write_waiting(), name="write the journal")

    async def write_waiting(self) -> None:
        """Write until nothing waits."""
        try:
            while self.waiting and not self.failed:
                data, self.waiting, self.num_bytes = b"".join(self.waiting), [], 0
                await self.world.run_blocking(self.append, data)
        except OSError as error:
            self.give_up(str(error))
        finally:
            self.writing = False

    def append(self, data: bytes) -> None:
        """Write to the file; opened by the first call."""
        if self.file is None:
            self.file = self.path.open("wb")
        self.file.write(data)
        self.file.flush()

    def give_up(self, reason: str) -> None:
        """Record nothing more."""
        if not self.failed:
            self.failed = True
            self.waiting.clear()
            logger.warning("the scheduler's journal %s ends here: %s", self.path, reason)

    async def close(self) -> None:
        """Write the rest and close the file; when the scope is closed, so that nobody else writes."""
        await self.write_waiting()
        if self.file is not None:
            file, self.file = self.file, None
            try:
                await self.world.run_blocking(file.close)
            except OSError as error:
                self.give_up(str(error))


def read_journal(path: Path) -> tuple[JournalHeader, Iterator[JournalEntry]]:
    """Open a journal; entries are read as they are asked for.

    Raises:
        JournalError: it is missing, no journal, of another format, or (while reading) cut off or damaged.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be read: {error.strerror or error}") from None
    start = file.read(len(FORMAT))
    if start != FORMAT:
        file.close()
        what = (
            "a journal of another version" if start.startswith(b"minispark journal") else "not a scheduler's journal"
        )
        raise JournalError(f"{path} is {what}: it begins with {start[:24]!r}, not with {FORMAT!r}")
    frames = read_frames(path, file)
    values = next(frames, None)
    if values is None or len(values) != len(HEADER_FIELDS):
        raise JournalError(f"the journal {path} has no header: it was cut off or damaged")
    header = JournalHeader(*values)  # type: ignore[arg-type]
    return header, read_entries(path, frames)


def read_entries(path: Path, frames: Iterator[list[object]]) -> Iterator[JournalEntry]:
    """Yield the entries."""
    for values in frames:
        if len(values) != len(ENTRY_FIELDS):
            raise JournalError(f"the journal {path} is damaged: an entry has {len(values)} values")
        yield JournalEntry(*values)  # type: ignore[arg-type]


def read_frames(path: Path, file: BinaryIO) -> Iterator[list[object]]:
    """Yield the content of each frame and close the file.

    Raises:
        JournalError: it is cut off or damaged; the text says where.
    """
    with file:
        while prefix := file.read(LENGTH.size):
            place = file.tell() - len(prefix)
            size = LENGTH.unpack(prefix)[0] if len(prefix) == LENGTH.size else 0
            body = file.read(size) if size <= MAX_FRAME else b""
            if len(prefix) < LENGTH.size or len(body) < size:
                raise JournalError(
                    f"the journal {path} is cut off at byte {place:,}: what comes before can be replayed"
                )
            try:
                values = msgpack.unpackb(body, strict_map_key=False)
            except (ValueError, msgpack.exceptions.UnpackException) as error:
                raise JournalError(f"the journal {path} is damaged at byte {place:,}: {error}") from None
            if not isinstance(values, list):
                raise JournalError(f"the journal {path} is damaged at byte {place:,}: a {type(values).__name__}")
            yield values


def python_version() -> str:
    """Return the interpreter's version."""
    return ".".join(map(str, sys.version_info[:3]))
