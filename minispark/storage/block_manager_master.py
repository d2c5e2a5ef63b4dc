"""BlockManagerMaster: knows which executor holds which block. An endpoint of the driver.

Executors report what they store and drop; readers ask where a block is. Files of a removed block are deleted off the
loop, where the master can reach them: in the session directories of executors on its own host.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, assert_never

from minispark.errors import RpcError
from minispark.ids import BlockId, ExecutorId, RddId, partition_of_block
from minispark.messages.blocks import (
    BlockFile,
    BlockInfoUpdated,
    BlockLocations,
    BlockRemoved,
    DecommissionBlockManager,
    GetLocations,
    RegisterBlockManager,
    RemoveBlock,
    RemoveExecutorBlocks,
    RemoveHostBlocks,
    RemoveRddBlocks,
    ReplicateBlock,
    ToBlockManagerMaster,
    UpdateBlockInfo,
)
from minispark.messages.task import BlockManagerId, TaskLocation
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World
from minispark.storage.logic.locations import BlockHolder, BlockTable
from minispark.storage.logic.replication import next_peer

if TYPE_CHECKING:
    from minispark.storage.transfer import Transfer

__all__ = ["BlockManagerMaster", "BlockWatcher"]

logger = logging.getLogger(__name__)

Rows = Sequence[Sequence[TaskLocation]]


class BlockWatcher(Protocol):
    """Who wants to know which executors hold partitions of persisted RDDs: dynamic allocation."""

    def block_updated(self, executor_id: ExecutorId, rdd_id: RddId, partition: int, is_held: bool) -> None:
        """Take that an executor holds a partition, or holds it no more."""

    def rdd_removed(self, rdd_id: RddId) -> None:
        """Take that an RDD is persisted no more."""


class BlockManagerMaster(RpcEndpoint):
    """Serves and keeps the table of blocks.

    Args:
        world: deletes files off the loop.
        scope: owns the deletions that run.

    Attributes:
        watcher: told which executors hold partitions of persisted RDDs, if anybody wants to know.
        transfer: returns channels to shuffle services; called only where there are any.
    """

    watcher: BlockWatcher | None = None
    transfer: "Callable[[], Transfer] | None" = None

    def __init__(self, world: World, scope: TaskScope) -> None:
        self.world = world
        self.scope = scope
        self.table = BlockTable()
        self.managers: dict[ExecutorId, RpcEndpointRef] = {}
        self.peers: dict[ExecutorId, BlockManagerId] = {}  # who may be given copies
        self.gone: dict[ExecutorId, None] = {}

    def receive(self, message: ToBlockManagerMaster, context: CallContext) -> None:
        """Handle one report or question."""
        match message:
            case UpdateBlockInfo():
                is_known = message.location.executor_id in self.managers
                if is_known:
                    self.update(message)
                context.reply(BlockInfoUpdated(is_known))
            case GetLocations(block_id):
                holders = self.table.holders_of(block_id)
                files = tuple(BlockFile(holder.path, holder.is_served) for holder in holders)
                context.reply(BlockLocations(tuple(holder.location for holder in holders), files))
            case RemoveBlock(block_id):
                removed = self.table.remove_block(block_id)
                self.scope.spawn(self.remove_files(removed, context), name=f"remove {block_id}", owner=self)
            case RemoveExecutorBlocks(executor_id):
                self.remove_executor(executor_id)
            case RemoveHostBlocks(host):
                for block_id in self.table.host_gone(host):
                    self.replicate(block_id)
            case DecommissionBlockManager(executor_id):
                self.peers.pop(executor_id, None)
            case RegisterBlockManager(location, _, manager):
                self.register(location, manager)
            case _:
                assert_never(message)

    def register(self, location: BlockManagerId, manager: RpcEndpointRef) -> None:
        """Take an executor in, which then says what it holds; one that was given up stays so.

        Its register may come late. That it is not wanted any more, it hears when it registers as an executor.
        """
        executor_id = location.executor_id
        if executor_id in self.gone:
            return
        self.table.remove_executor(executor_id)
        self.managers[executor_id] = manager
        self.peers[executor_id] = location
        for block_id in list(self.table.holders):
            self.replicate(block_id)

    def update(self, message: UpdateBlockInfo) -> None:
        """Note where a block is, or is no more; what outlives its executor is no reason to keep that."""
        location = message.location
        place = partition_of_block(message.block_id) if self.watcher is not None else None
        if self.watcher is not None and place is not None:
            is_held = bool(message.path) and not message.service_port
            self.watcher.block_updated(location.executor_id, *place, is_held)
        if not message.path:
            self.table.drop(message.block_id, location.executor_id)
            return
        holder = BlockHolder(
            location,
            message.path,
            message.size_bytes,
            message.in_memory,
            message.live_bytes,
            message.level,
            message.generation,
            message.service_port,
        )
        self.table.put(message.block_id, holder)
        self.replicate(message.block_id)

    def remove_executor(self, executor_id: ExecutorId) -> None:
        """Forget an executor; what it held of replicated RDDs is copied again from those that still hold it."""
        held = sorted(self.table.blocks.get(executor_id, ()))
        self.gone[executor_id] = None
        self.table.executor_gone(executor_id)
        self.managers.pop(executor_id, None)
        self.peers.pop(executor_id, None)
        for block_id in held:
            self.replicate(block_id)

    def replicate(self, block_id: BlockId) -> None:
        """Have one more executor get a copy of a block, if its level asks for more than there are."""
        holders = self.table.holders_of(block_id)
        place = partition_of_block(block_id)
        if place is None or not holders or len(holders) >= holders[0].level.replication:
            return
        peer = next_peer(block_id, [holder.location for holder in holders], self.peers.values())
        if peer is not None:
            level, generation = holders[0].level, holders[0].generation
            self.managers[peer.executor_id].send(ReplicateBlock(*place, level, generation))

    def locations(self, rdd_id: RddId) -> Rows | None:
        """Return where each partition of a persisted RDD is; None if nowhere. See the scheduler's CachedBlocks."""
        rows = self.table.rows(rdd_id)
        if rows is None:
            return None
        return [[place_of(holder) for holder in row] for row in rows]

    def remove_rdd(self, rdd_id: RddId, generation: int) -> None:
        """Forget the blocks of an RDD that is persisted no more, and have executors drop them."""
        for block_id in list(self.table.blocks_of(rdd_id).values()):
            served = [holder for holder in self.table.remove_block(block_id) if holder.is_served]
            if served:
                self.scope.spawn(self.remove_served(served), name=f"remove {block_id} of services", owner=self)
        if self.watcher is not None:
            self.watcher.rdd_removed(rdd_id)
        for manager in self.managers.values():
            manager.send(RemoveRddBlocks(rdd_id, generation))

    async def remove_served(self, holders: list[BlockHolder]) -> None:
        """Have files removed whose executors are gone: here, or by the shuffle services that serve them."""
        await self.world.run_blocking(unlink_blocks, holders)
        for holder in holders:
            if self.transfer is not None:
                name = BlockId(os.path.basename(holder.path))
                try:
                    await self.transfer().remove_block(holder.location, name)
                except RpcError as error:
                    logger.info("%s stays with the shuffle service of %s: %s", name, holder.location.host, error)

    async def remove_files(self, holders: list[BlockHolder], context: CallContext) -> None:
        """Delete the files of a block, then tell who asked."""
        await self.world.run_blocking(unlink_blocks, holders)
        context.reply(BlockRemoved(len(holders)))


def place_of(holder: BlockHolder) -> TaskLocation:
    """Return where a task that reads a copy of a block should be."""
    location = holder.location
    return TaskLocation(location.host) if holder.is_served else TaskLocation(location.host, location.executor_id)


def unlink_blocks(holders: Iterable[BlockHolder]) -> None:
    """Delete block files in the session directories that are on this host."""
    for holder in holders:
        directory = holder.location.directory
        # The path came in a message: only what lies where blocks lie is deleted.
        is_block = os.path.dirname(holder.path) == os.path.join(directory, "blocks")
        if is_block and os.access(os.path.join(directory, "token"), os.R_OK):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(holder.path)
