"""BlockFetcher: brings persisted partitions from other executors. Used by `block_manager` in executor processes.

Source: Spark's BlockManager.getRemoteBlock. Must not know which task needs the block.
"""

import os
from typing import Final, NamedTuple

from minispark.errors import MiniSparkError
from minispark.ids import BlockId
from minispark.messages.blocks import BlockFile, BlockLocations, GetLocations
from minispark.messages.task import BlockManagerId
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.world import World
from minispark.storage.block_files import copy_file
from minispark.storage.memory_folder import folder_of
from minispark.storage.transfer import Transfer

__all__ = ["RemoteBlocks", "in_order"]

REFRESH_AFTER: Final = 5  # holders in a row that fail: the table may have changed meanwhile


class Source(NamedTuple):
    """One copy of a block: who has it, and its file there."""

    location: BlockManagerId
    file: BlockFile


class RemoteBlocks:
    """The blocks of the other executors.

    Args:
        location: this executor.
        master: knows who has what.
        transfer: channels to the others.
        neighbours: takes files of other executors of this host, off the loop; None: they are sent like others.
    """

    def __init__(
        self, location: BlockManagerId, master: RpcEndpointRef, transfer: Transfer, neighbours: World | None = None
    ) -> None:
        self.location = location
        self.master = master
        self.transfer = transfer
        self.neighbours = neighbours

    def has_peers(self) -> bool:
        """Tell whether there may be other executors."""
        return True

    async def fetch(self, block_id: BlockId, path: str) -> int:
        """Bring a block into a new file from the first of its holders that gives it; -1: none does.

        Raises:
            RpcError: the master does not answer.
        """
        known = await self.holders(block_id)
        failures, limit = 0, len(known)
        while known and failures < limit:
            size_bytes = await self.fetch_from(known.pop(0), block_id, path)
            if size_bytes is not None:
                return size_bytes
            failures += 1
            if failures % REFRESH_AFTER == 0:
                known = await self.holders(block_id)
        return -1

    async def fetch_from(self, source: Source, block_id: BlockId, path: str) -> int | None:
        """Bring a block from one holder; None: it does not give it, and the next one may."""
        holder, file = source
        if self.neighbours is not None and holder.host == self.location.host:
            size_bytes = await self.neighbours.run_blocking(take_file, holder, file.path, path)
            if size_bytes is not None:
                return size_bytes
        name = BlockId(os.path.basename(file.path)) if file.is_served else block_id
        try:
            return await self.transfer.fetch_block_to_file(holder, name, path)
        except (MiniSparkError, OSError):
            return None  # whoever is gone will be noticed by others

    async def holders(self, block_id: BlockId) -> list[Source]:
        """Ask who has a block."""
        return in_order(await self.master.ask(GetLocations(block_id)), self.location)


def in_order(known: BlockLocations, here: BlockManagerId) -> list[Source]:
    """Return the other holders of a block: those on this host first."""
    sources = map(Source, known.locations, known.files)
    others = [source for source in sources if source.location.executor_id != here.executor_id]
    return sorted(others, key=lambda source: source.location.host != here.host)


def take_file(holder: BlockManagerId, source: str, target: str) -> int | None:
    """Make the file of another executor of this host one's own, if it can be read here. Blocking.

    A link costs nothing, and the block is in memory once; from another file system it is copied. Files of blocks are
    never changed, so whoever removes one removes a name.

    Returns:
        its size in bytes; None if it cannot be read.
    """
    folders = os.path.join(holder.directory, "blocks"), os.fspath(folder_of(holder.directory))
    if os.path.dirname(source) not in folders or not os.access(os.path.join(holder.directory, "token"), os.R_OK):
        return None
    try:
        os.link(source, target)
    except OSError:
        try:
            copy_file(source, target)
        except OSError:
            return None
    return os.stat(target).st_size
