"""Serving map outputs to other hosts: the answer of the bulk service "blocks" to `FetchMapOutputs`,
and to `RemoveMapOutputs` when nobody needs them any more.

Used by executors for their own session directory and by the shuffle service for those of a host. Indexes and small
blocks are read off the loop; large blocks go out by `os.sendfile`. Nothing is verified here: the checksums
travel, and the reader does. Must not open a file outside of the directories that it serves.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from minispark.ids import ShuffleId, TaskId
from minispark.messages.transfer import FetchMapOutputs, MapOutputsHead, RemoveMapOutputs, Taken
from minispark.rpc.bulk import CHUNK, BulkChannel
from minispark.rpc.world import World
from minispark.shuffle.files import OWN_TROUBLE, MapOutputDamaged, map_output_paths, read_entry
from minispark.shuffle.removal import remove_asked
from minispark.storage.transfer import BlockService, Directories, realm_of

__all__ = ["MapOutputServer"]

SMALL_BYTES: Final = 64 << 10
"""Blocks up to this are read and sent together; above, a call of `sendfile` costs less than the copy."""

NO_CHECKSUM: Final = -1


class Segment(NamedTuple):
    """Where one block is; a `problem` says why it cannot be served."""

    path: str
    offset: int
    size: int
    checksum: int
    problem: str = ""


class MapOutputServer:
    """Serves the map outputs below some session directories.

    Args:
        world: reads off the loop.
        directories: which directories are served, to whom.
    """

    def __init__(self, world: World, directories: Directories) -> None:
        self.world = world
        self.directories = directories

    def add_to(self, service: BlockService) -> None:
        """Have a service answer with these map outputs."""
        service.add(FetchMapOutputs, self.send_outputs)
        service.add(RemoveMapOutputs, self.remove_outputs)

    async def send_outputs(self, channel: BulkChannel, request: FetchMapOutputs) -> None:
        """Send one reducer's share of some map outputs, or what keeps them from being sent."""
        directory = self.directories.directory_of(realm_of(channel), request.executor_id)
        if directory is None:
            problem = f"the files of executor {request.executor_id} are not served here"
            await channel.send(head_of([Segment("", 0, 0, NO_CHECKSUM, problem)] * len(request.map_ids), False))
            return
        segments, is_there = await self.world.run_blocking(find_segments, directory, request)
        await channel.send(head_of(segments, is_there))
        if any(segment.problem for segment in segments):
            return
        for group in grouped(segments):
            if isinstance(group, Segment):
                await self.send_large(channel, group)
            else:
                await channel.send_data(await self.world.run_blocking(read_together, group))
        await channel.end(sum(segment.size for segment in segments))

    async def remove_outputs(self, channel: BulkChannel, request: RemoveMapOutputs) -> None:
        """Remove map outputs that nobody needs, if they are here."""
        directory = self.directories.directory_of(realm_of(channel), request.executor_id)
        if directory is not None:
            await self.world.run_blocking(remove_asked, directory, request)
        await channel.send(Taken())

    async def send_large(self, channel: BulkChannel, segment: Segment) -> None:
        """Send a block from its file."""
        fd = await self.world.run_blocking(os.open, segment.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            await channel.send_file(fd, segment.offset, segment.size)
        finally:
            os.close(fd)


def head_of(segments: Iterable[Segment], directory_is_there: bool) -> MapOutputsHead:
    """Return what goes before the blocks."""
    sizes, checksums, problems = zip(*((s.size, s.checksum, s.problem) for s in segments), strict=True)
    return MapOutputsHead(sizes, checksums, problems, directory_is_there)


def find_segments(directory: str, request: FetchMapOutputs) -> tuple[list[Segment], bool]:
    """Find the blocks of a request; tell also whether the directory as such can be read. Blocking."""
    segments = [find(directory, request.shuffle_id, map_id, request.reducer) for map_id in request.map_ids]
    return segments, os.access(os.path.join(directory, "token"), os.R_OK)


def find(directory: str, shuffle_id: ShuffleId, map_id: TaskId, reducer: int) -> Segment:
    """Find one block; one that is missing or cut off has a problem.

    Raises:
        OSError: this process has no more descriptors or memory.
    """
    data_path, index_path = map_output_paths(directory, shuffle_id, map_id)
    try:
        offset, size, checksum = read_entry(index_path, data_path, reducer)
    except MapOutputDamaged as error:
        return Segment(data_path, 0, 0, NO_CHECKSUM, str(error))
    except OSError as error:
        if error.errno in OWN_TROUBLE:
            raise
        return Segment(data_path, 0, 0, NO_CHECKSUM, f"{error.filename or data_path}: {error.strerror}")
    return Segment(data_path, offset, size, NO_CHECKSUM if checksum is None else checksum)


def grouped(segments: Sequence[Segment]) -> Iterator[Segment | list[Segment]]:
    """Yield large blocks alone and small ones that follow each other together, up to the size of a piece."""
    group: list[Segment] = []
    size = 0
    for segment in segments:
        if group and (segment.size > SMALL_BYTES or size + segment.size > CHUNK):
            yield group
            group, size = [], 0
        if segment.size > SMALL_BYTES:
            yield segment
        else:
            group.append(segment)
            size += segment.size
    if group:
        yield group


def read_together(segments: Iterable[Segment]) -> bytes:
    """Return the bytes of some small blocks. Blocking.

    Raises:
        MapOutputDamaged: a file became shorter since its index was read.
        OSError: it is gone.
    """
    parts = []
    for segment in segments:
        fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts.append(os.pread(fd, segment.size, segment.offset))
        finally:
            os.close(fd)
        if len(parts[-1]) < segment.size:
            raise MapOutputDamaged(f"{segment.path} ends at {segment.offset + len(parts[-1])}")
    return b"".join(parts)
