"""BlockManagerMaster: knows which executor holds which block. An endpoint of the driver.

Executors report what they store and drop; readers ask where a block is. Files of a removed block are deleted off the
loop, where the master can reach them: in the session directories of executors on its own host.
"""

import contextlib
import os
from collections.abc import Iterable
from typing import assert_never

from minispark.messages.blocks import (
    BlockLocations,
    BlockRemoved,
    GetLocations,
    RemoveBlock,
    RemoveExecutorBlocks,
    ToBlockManagerMaster,
    UpdateBlockInfo,
)
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World
from minispark.storage.logic.locations import BlockHolder, BlockTable

__all__ = ["BlockManagerMaster"]


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

    def receive(self, message: ToBlockManagerMaster, context: CallContext) -> None:
        """Handle one report or question."""
        match message:
            case UpdateBlockInfo(location, block_id, path, size_bytes):
                if path:
                    self.table.put(block_id, BlockHolder(location, path, size_bytes))
                else:
                    self.table.drop(block_id, location.executor_id)
            case GetLocations(block_id):
                context.reply(BlockLocations(self.table.locations(block_id)))
            case RemoveBlock(block_id):
                holders = self.table.remove_block(block_id)
                self.scope.spawn(self.remove_files(holders, context), name=f"remove {block_id}", owner=self)
            case RemoveExecutorBlocks(executor_id):
                self.table.remove_executor(executor_id)
            case _:
                assert_never(message)

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
