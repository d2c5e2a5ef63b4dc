"""BlockFetcher: brings persisted partitions from other executors. Used by `block_manager` in executor processes.

Source: Spark's BlockManager.getRemoteBlock. Must not know which task needs the block.
"""

from typing import Final

from minispark.errors import MiniSparkError
from minispark.ids import BlockId
from minispark.messages.blocks import GetLocations
from minispark.messages.task import BlockManagerId
from minispark.rpc.ref import RpcEndpointRef
from minispark.storage.transfer import Transfer

__all__ = ["RemoteBlocks", "in_order"]

REFRESH_AFTER: Final = 5  # holders in a row that fail: the table may have changed meanwhile


class RemoteBlocks:
    """The blocks of the other executors.

    Args:
        location: this executor.
        master: knows who has what.
        transfer: channels to the others.
    """

    def __init__(self, location: BlockManagerId, master: RpcEndpointRef, transfer: Transfer) -> None:
        self.location = location
        self.master = master
        self.transfer = transfer

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
            holder = known.pop(0)
            try:
                size_bytes = await self.transfer.fetch_block_to_file(holder, block_id, path)
            except (MiniSparkError, OSError):
                size_bytes = None  # the next one may have it; whoever is gone will be noticed by others
            if size_bytes is not None:
                return size_bytes
            failures += 1
            if failures % REFRESH_AFTER == 0:
                known = await self.holders(block_id)
        return -1

    async def holders(self, block_id: BlockId) -> list[BlockManagerId]:
        """Ask who has a block."""
        return in_order((await self.master.ask(GetLocations(block_id))).locations, self.location)


def in_order(locations: tuple[BlockManagerId, ...], here: BlockManagerId) -> list[BlockManagerId]:
    """Return the other holders of a block: those on this host first."""
    others = [holder for holder in locations if holder.executor_id != here.executor_id]
    return sorted(others, key=lambda holder: holder.host != here.host)
