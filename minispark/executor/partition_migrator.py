"""Handing persisted partitions over when an executor goes: others get themselves copies while this one still serves.

The executor's decommissioner calls `PartitionMigrator.migrate`; what goes where is decided as for map outputs
(`shuffle.logic.migration`). A partition that an executor holds which stays needs no other copy. Source: the RDD half
of Spark's BlockManagerDecommissioner.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from minispark.conf import SparkConf
from minispark.errors import RpcError, RpcTimeout
from minispark.ids import BlockId, ExecutorId, partition_of_block
from minispark.messages.blocks import BlockTaken, GetLocations, TakeBlock
from minispark.messages.storage_level import StorageLevel
from minispark.messages.task import BlockManagerId
from minispark.rpc.ref import RpcEndpointRef
from minispark.shuffle.logic.migration import Migration, Move

__all__ = ["PartitionMigrator"]

logger = logging.getLogger(__name__)


class PartitionMigrator:
    """Moves an executor's persisted partitions to others; a `BlockMigrator` of the decommissioner.

    Args:
        stored: returns the blocks that are here and finished, each with the level and generation of its RDD.
        peers: the executors that stay.
        master: the driver's BlockManagerMaster, which knows who holds what.
        manager_of: returns the BlockManager of an executor.
        conf: `minispark.storage.decommission.*`.
    """

    def __init__(
        self,
        stored: Callable[[], Mapping[BlockId, tuple[StorageLevel, int]]],
        peers: Callable[[], Awaitable[Sequence[BlockManagerId]]],
        master: RpcEndpointRef,
        manager_of: Callable[[BlockManagerId], RpcEndpointRef],
        conf: SparkConf,
    ) -> None:
        self.stored = stored
        self.peers = peers
        self.master = master
        self.manager_of = manager_of
        self.enabled = conf.storage_decommission_enabled and conf.storage_decommission_rdd_blocks
        self.state = Migration[BlockId](conf.storage_decommission_max_failures)
        self.staying: dict[ExecutorId, None] = {}

    async def migrate(self) -> int:
        """Have the partitions that are here now copied; return how many had to stay so far."""
        state = self.state
        if not self.enabled or not state.found(self.stored()):
            return len(state.stayed)
        peers = await self.peers()
        self.staying = {peer.executor_id: None for peer in peers}
        state.use(peers)
        while (move := state.next()) is not None:
            await self.perform(move)
        return len(state.stayed)

    async def perform(self, move: Move[BlockId]) -> None:
        """Have one partition copied, and take note of what became of it."""
        state = self.state
        try:
            if await self.is_elsewhere(move.output):
                state.done(move)
                return
            kept, place = self.stored().get(move.output), partition_of_block(move.output)
            if kept is None or place is None:
                state.missing(move)
                return
            taken = await self.have_taken(move.peer, TakeBlock(*place, *kept))
        except RpcError as error:
            logger.warning("%s cannot be moved to %s: %s", move.output, move.peer, error)
            state.failed(move)
            return
        if taken.is_here:
            state.done(move)
        elif taken.is_leaving:
            self.staying.pop(move.peer.executor_id, None)
            state.peer_leaves(move)
        else:
            logger.warning("%s does not fit, or was not found, on %s", move.output, move.peer)
            state.failed(move)

    async def have_taken(self, peer: BlockManagerId, request: TakeBlock) -> BlockTaken:
        """Have a peer copy a partition; one that is silent is asked for no other.

        Raises:
            RpcError: it does not answer, or cannot be reached.
        """
        try:
            return await self.manager_of(peer).ask(request)
        except RpcTimeout:
            self.state.avoid(peer)
            raise

    async def is_elsewhere(self, block_id: BlockId) -> bool:
        """Tell whether an executor that stays holds a block.

        Raises:
            RpcError: the master does not answer.
        """
        holders = (await self.master.ask(GetLocations(block_id))).locations
        return any(holder.executor_id in self.staying for holder in holders)
