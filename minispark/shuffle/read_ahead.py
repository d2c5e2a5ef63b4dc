"""Small segments of map outputs, read some reducers ahead. Made once per runner, called by `reader`.

With a thousand maps and a thousand reducers a segment is some bytes, and opening its files costs far more than what
is in it. Segments of neighbouring reducers are neighbours in the file, and a runner's next tasks are for those: so a
window of them is read at once and kept, bounded in bytes, and no file stays open. What is kept is used without a look
at the files only by tasks of the same stage attempt, and while the directory is as it was; otherwise the files are
looked at first. Checksums are verified when a segment is used. Must not know why something cannot be read: it then
returns nothing, and the reader goes to the file (`files.read_segment`), which says what is wrong.
"""

import io
import os
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from minispark.ids import ShuffleId, TaskId
from minispark.shuffle.files import ENTRY, HAS_CHECKSUMS, HEADER, MAGIC, VERSION, map_output_paths
from minispark.shuffle.pairs import FRAME_HEADER, read_frames

__all__ = ["MANY_OUTPUTS", "ReadAhead", "ShuffleWindows", "Stamp"]

MANY_OUTPUTS: Final = 32  # fewer are opened one by one: there is little to gain
SHUFFLE_BYTES: Final = 4 << 20  # kept of one shuffle
MAX_SHUFFLES: Final = 4  # whose windows are kept: a task may read several, one after the other
PAYING_SEGMENTS: Final = 4  # that a window should hold

Stamp: TypeAlias = tuple[int, ...]
"""As of when something was looked at: equal ones mean that nothing has changed."""


@dataclass(slots=True)
class Window:
    """A part of a map output: the segments of some reducers that follow each other.

    Attributes:
        directory: the session directory that it was read from.
        stamp: when its files were looked at last.
        files: what the index and the data were like.
        first: the first reducer.
        entries: of these reducers in the index.
        start: the offset of `data` in the file.
        data: their segments.
        has_checksums: whether the entries have checksums.
    """

    directory: str
    stamp: Stamp
    files: tuple[Stamp, Stamp]
    first: int
    entries: bytes
    start: int
    data: bytes
    has_checksums: bool


class ShuffleWindows:
    """The windows of one shuffle.

    Args:
        shuffle_id: the shuffle.
    """

    def __init__(self, shuffle_id: ShuffleId) -> None:
        self.shuffle_id = shuffle_id
        self.windows: dict[TaskId, Window] = {}
        self.size_bytes = 0

    def batches(
        self, directory: str, map_id: TaskId, reducer: int, stamp: Stamp, window_bytes: int, *, verify: bool
    ) -> Sequence[bytes] | None:
        """Return the batches of one segment; None if they must be read from the file, or it is damaged.

        Args:
            directory: the writer's session directory.
            map_id: the id under which the files were written.
            reducer: the partition.
            stamp: what has changed if it differs from that of an earlier call: see `ReadAhead.stamp`.
            window_bytes: how much may be kept of this map output.
            verify: whether to verify the checksum, if there is one.
        """
        window = self.windows.get(map_id)
        if (
            window is None
            or window.directory != directory
            or not 0 <= reducer - window.first < len(window.entries) // ENTRY.size
            or (window.stamp != stamp and not self.is_current(window, map_id, stamp))
        ):
            window = self.load(directory, map_id, reducer, stamp, window_bytes)
            if window is None:
                return None
        offset, length, checksum = ENTRY.unpack_from(window.entries, (reducer - window.first) * ENTRY.size)
        start = offset - window.start
        segment = window.data[start : start + length]
        if (
            not length
            or start < 0
            or len(segment) < length
            or (verify and window.has_checksums and zlib.crc32(segment) != checksum)
        ):
            return None
        return batches_of(segment)

    def is_current(self, window: Window, map_id: TaskId, stamp: Stamp) -> bool:
        """Tell whether the files of a window are what they were; the window is as of now then."""
        try:
            data, index = map(os.stat, map_output_paths(window.directory, self.shuffle_id, map_id))
        except OSError:
            return False
        if (state_of(index), state_of(data)) != window.files:
            return False
        window.stamp = stamp
        return True

    def load(self, directory: str, map_id: TaskId, reducer: int, stamp: Stamp, window_bytes: int) -> Window | None:
        """Read a window and keep it, instead of the one that was kept; None if that is not possible."""
        before = self.windows.pop(map_id, None)
        if before is not None:
            self.size_bytes -= kept_bytes(before)
        try:
            window = read_window(directory, self.shuffle_id, map_id, reducer, stamp, window_bytes)
        except OSError:
            return None
        if window is not None:
            if self.size_bytes > 2 * SHUFFLE_BYTES:  # map outputs that were replaced are among them
                self.windows.clear()
                self.size_bytes = 0
            self.windows[map_id] = window
            self.size_bytes += kept_bytes(window)
        return window


class ReadAhead:
    """What a runner's tasks keep of map outputs for its next tasks: at most 4 shuffles, and 8 MiB of each."""

    def __init__(self) -> None:
        self.by_shuffle: dict[ShuffleId, ShuffleWindows] = {}

    def of(self, shuffle_id: ShuffleId) -> ShuffleWindows:
        """Return the windows of a shuffle, which then are the ones used last."""
        windows = self.by_shuffle.pop(shuffle_id, None) or ShuffleWindows(shuffle_id)
        while len(self.by_shuffle) >= MAX_SHUFFLES:
            self.by_shuffle.pop(next(iter(self.by_shuffle)), None)
        self.by_shuffle[shuffle_id] = windows
        return windows

    @staticmethod
    def stamp(directory: str, stage_attempt: tuple[int, ...]) -> Stamp | None:
        """Return what changes when map outputs come or go, and with each stage attempt; None: nothing is there."""
        try:
            return *stage_attempt, *state_of(os.stat(os.path.join(directory, "shuffle")))
        except OSError:
            return None

    @staticmethod
    def window_bytes(outputs: int) -> int:
        """Return how much may be kept of each of so many map outputs."""
        return SHUFFLE_BYTES // outputs if outputs >= MANY_OUTPUTS else 0

    @staticmethod
    def largest_segment(window_bytes: int) -> int:
        """Return up to which size it pays to read the next ones along with a segment."""
        return window_bytes // PAYING_SEGMENTS - ENTRY.size


def read_window(
    directory: str, shuffle_id: ShuffleId, map_id: TaskId, reducer: int, stamp: Stamp, window_bytes: int
) -> Window | None:
    """Read as many segments as fit; None if the files are not what they should be.

    Raises:
        OSError: a file cannot be read.
    """
    data_path, index_path = map_output_paths(directory, shuffle_id, map_id)
    with open(index_path, "rb", buffering=0) as index:
        fd = index.fileno()
        header = os.pread(fd, HEADER.size, 0)
        entries = os.pread(fd, window_bytes // ENTRY.size * ENTRY.size, HEADER.size + reducer * ENTRY.size)
        index_state = state_of(os.fstat(fd))
    if len(header) < HEADER.size or len(entries) < ENTRY.size:
        return None
    magic, version, flags, num_partitions, total = HEADER.unpack(header)
    if magic != MAGIC or version != VERSION or reducer >= num_partitions:
        return None
    start = ENTRY.unpack_from(entries)[0]

    def end_of(place: int) -> int:
        offset, length, _ = ENTRY.unpack_from(entries, place * ENTRY.size)
        return int(offset + length - start)

    places = range(len(entries) // ENTRY.size)
    count = bisect_right(places, window_bytes, key=lambda place: end_of(place) + (place + 1) * ENTRY.size)
    size = end_of(count - 1) if count else -1
    if not 0 <= size <= total - start:
        return None
    with open(data_path, "rb", buffering=0) as file:
        fd = file.fileno()
        data = os.pread(fd, size, start)
        state = os.fstat(fd)
    if state.st_size != total or len(data) < size:
        return None
    files = index_state, state_of(state)
    has_checksums = bool(flags & HAS_CHECKSUMS)
    return Window(directory, stamp, files, reducer, entries[: count * ENTRY.size], start, data, has_checksums)


def batches_of(segment: bytes) -> Sequence[bytes] | None:
    """Return the batches of a segment; None if it is no sequence of frames."""
    if len(segment) >= FRAME_HEADER.size and FRAME_HEADER.unpack_from(segment)[0] == len(segment) - FRAME_HEADER.size:
        return (segment[FRAME_HEADER.size :],)  # one frame that is not compressed: nearly all of the small ones
    try:
        return tuple(read_frames(io.BytesIO(segment), len(segment)))
    except EOFError:
        return None


def state_of(found: os.stat_result) -> Stamp:
    """Return what tells a file from what it was before, or from another one in its place."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def kept_bytes(window: Window) -> int:
    """Return how much a window holds."""
    return len(window.entries) + len(window.data)
