"""BlockManagerMaster: knows which executor holds which block. An endpoint of the driver.

Executors report what they store and drop; readers ask where a block is. Files of a removed block are deleted off the
loop, where the master can reach them: in the session directories of executors on its own host.
"""

import contextlib
import os
from collections.abc import Iterable, Sequence
from typing import assert_never

from minispark.ids import ExecutorId, RddId
from minispark.messages.blocks import (
    BlockLocations,
    BlockRemoved,
    GetLocations,
    RegisterBlockManager,
    RemoveBlock,
    RemoveExecutorBlocks,
    RemoveRddBlocks,
    ToBlockManagerMaster,
    UpdateBlockInfo,
)
from minispark.messages.task import TaskLocation
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World
from minispark.storage.logic.locations import BlockHolder, BlockTable

__all__ = ["BlockManagerMaster"]

Rows = Sequence[Sequence[TaskLocation]]


class BlockManagerMaster(RpcEndpoint):
    """Serves and keeps the table of blocks.

    Args:
        world: deletes files off the loop.
        scope: owns the deletions that run.
    """

    def __init__(self, world: World, scope: TaskScope) -> None:
        self.world = world
        self.scope = scope
        self.table = BlockTable()
        self.managers: dict[ExecutorId, RpcEndpointRef] = {}
        self.removed: dict[RddId, int] = {}

    def receive(self, message: ToBlockManagerMaster, context: CallContext) -> None:
        """Handle one report or question."""
        match message:
            case UpdateBlockInfo():
                self.update(message)
            case GetLocations(block_id):
                context.reply(BlockLocations(self.table.locations(block_id)))
            case RemoveBlock(block_id):
                holders = self.table.remove_block(block_id)
                self.scope.spawn(self.remove_files(holders, context), name=f"remove {block_id}", owner=self)
            case RemoveExecutorBlocks(executor_id):
                self.table.remove_executor(executor_id)
                self.managers.pop(executor_id, None)
            case RegisterBlockManager(location, _, manager):
                self.managers[location.executor_id] = manager
            case _:
                assert_never(message)

    def update(self, message: UpdateBlockInfo) -> None:
        """Note where a block is, or is no more."""
        location = message.location
        if not message.path:
            self.table.drop(message.block_id, location.executor_id)
            return
        holder = BlockHolder(
            location, message.path, message.size_bytes, message.in_memory, message.live_bytes, message.replication
        )
        self.table.put(message.block_id, holder)

    def locations(self, rdd_id: RddId) -> Rows | None:
        """Return where each partition of a persisted RDD is; None if nowhere. See the scheduler's CachedBlocks."""
        rows = self.table.rows(rdd_id)
        if rows is None:
            return None
        return [[TaskLocation(holder.host, holder.executor_id) for holder in row] for row in rows]

    def remove_rdd(self, rdd_id: RddId, generation: int) -> None:
        """Forget the blocks of an RDD that is persisted no more, and have executors drop them."""
        for block_id in list(self.table.blocks_of(rdd_id).values()):
            self.table.remove_block(block_id)
        for manager in self.managers.values():
            manager.send(RemoveRddBlocks(rdd_id, generation))

    async def remove_files(self, holders: list[BlockHolder], context: CallContext) -> None:
        """Delete the files of a block, then tell who asked."""
        await self.world.run_blocking(unlink_blocks, holders)
        context.reply(BlockRemoved(len(holders)))


def unlink_blocks(holders: Iterable[BlockHolder]) -> None:
    """Delete block files in the session directories that are on this host."""
    for holder in holders:
        directory = holder.location.directory
        # The path came in a message: only what lies where blocks lie is deleted.
        is_block = os.path.dirname(holder.path) == os.path.join(directory, "blocks")
        if is_block and os.access(os.path.join(directory, "token"), os.R_OK):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(holder.path)
