"""BlockFetcher: brings persisted partitions from other executors. Used by `block_manager` in executor processes.

Source: Spark's BlockManager.getRemoteBlock. Must not know which task needs the block.
"""

from minispark.errors import MiniSparkError
from minispark.ids import BlockId
from minispark.messages.blocks import GetLocations
from minispark.messages.task import BlockManagerId
from minispark.rpc.ref import RpcEndpointRef
from minispark.storage.transfer import Transfer

__all__ = ["RemoteBlocks", "in_order"]


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
        known = await self.master.ask(GetLocations(block_id))
        for holder in in_order(known.locations, self.location):
            try:
                size_bytes = await self.transfer.fetch_block_to_file(holder, block_id, path)
            except (MiniSparkError, OSError):
                continue  # the next one may have it; whoever is gone will be noticed by others
            if size_bytes is not None:
                return size_bytes
        return -1


def in_order(locations: tuple[BlockManagerId, ...], here: BlockManagerId) -> list[BlockManagerId]:
    """Return the other holders of a block: those on this host first."""
    others = [holder for holder in locations if holder.executor_id != here.executor_id]
    return sorted(others, key=lambda holder: holder.host != here.host)
