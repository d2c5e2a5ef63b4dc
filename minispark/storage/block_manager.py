"""BlockManager: the endpoint of an executor that keeps persisted partitions. Source: Spark's BlockManager.

Runners ask it through their executor (`asked`), the master tells it what is persisted no more. What happens is
decided in `logic.node_blocks`; this module names and removes files, sends and answers. It never reads or writes a
block: runners do, so that its loop never waits for a disk.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from itertools import count
from typing import Final, Protocol, assert_never

from minispark.errors import MiniSparkError
from minispark.ids import BlockId, TaskId, rdd_block_id
from minispark.messages.blocks import (
    BlockInfoUpdated,
    BlockTaken,
    RegisterBlockManager,
    RemoveRddBlocks,
    ReplicateBlock,
    TakeBlock,
    ToBlockManager,
    UpdateBlockInfo,
)
from minispark.messages.runner_blocks import BlockPlan, BlockRequest
from minispark.messages.task import BlockManagerId, TaskDescription
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World
from minispark.storage.block_files import copy_file, remove
from minispark.storage.logic.block_effects import (
    Answer,
    Asker,
    DropLive,
    Effect,
    Fetch,
    MoveFile,
    Paths,
    RemoveFile,
    Report,
)
from minispark.storage.logic.node_blocks import NodeBlocks
from minispark.storage.memory_folder import MemoryFolder

__all__ = ["BLOCK_MANAGER", "BlockFetcher", "BlockManager"]

logger = logging.getLogger(__name__)

BLOCK_MANAGER: Final = "BlockManager"
RESERVE_BYTES: Final = 16 << 20  # of a tmpfs, which others use too


class BlockFetcher(Protocol):
    """Gets blocks from other executors."""

    def has_peers(self) -> bool:
        """Tell whether there may be any."""

    async def fetch(self, block_id: BlockId, path: str) -> int:
        """Bring a block into a file and return its size; -1: nobody has it."""


class BlockManager(RpcEndpoint):
    """Keeps the persisted partitions of one executor.

    Args:
        location: where this executor's files are.
        master: hears which blocks are here.
        max_memory_bytes: the bound of what counts as memory.
        drop_live: has the runner of a slot let go of objects.
        world: removes files off the loop.
        scope: owns what runs for it.
        memory: names a folder on tmpfs; None: everything is on disk, whatever it counts as.
        fetcher: gets blocks from other executors; None: there are none.
        service_port: where the shuffle service of this host listens, if it serves blocks on disk when this executor
            is gone; 0: it does not.

    Attributes:
        reregister: has the driver know of this executor again; called when the master does not.
        is_leaving: whether this executor was told to go, and takes nothing any more.
    """

    def __init__(
        self,
        location: BlockManagerId,
        master: RpcEndpointRef,
        *,
        max_memory_bytes: int,
        drop_live: Callable[[int, tuple[BlockId, ...]], None],
        world: World,
        scope: TaskScope,
        memory: MemoryFolder | None = None,
        fetcher: BlockFetcher | None = None,
        service_port: int = 0,
    ) -> None:
        self.location = location
        self.service_port = service_port
        self.master = master
        self.max_memory_bytes = max_memory_bytes
        self.drop_live = drop_live
        self.world = world
        self.scope = scope
        self.fetcher = fetcher
        self.disk_directory = os.path.join(location.directory, "blocks")
        self.memory = memory
        self.numbers = count()
        has_peers = (lambda: False) if fetcher is None else fetcher.has_peers
        self.blocks = NodeBlocks(max_memory_bytes, Paths(self.memory_path, self.disk_path), has_peers)
        self.answers: dict[int, Callable[[BlockPlan], None]] = {}
        self.slot_of_partition: dict[int, int] = {}
        self.takers: dict[BlockId, list[CallContext]] = {}  # who goes, and waits for a block to be here
        self.is_leaving: Callable[[], bool] = lambda: False
        self.reregister: Callable[[], object] = lambda: None
        self.is_known = True

    def on_start(self) -> None:
        """Tell the master who is here."""
        self.register()

    def on_stop(self) -> None:
        """Let go of the folder on tmpfs: whoever ends the executor removes it."""
        if self.memory is not None:
            self.memory.release()

    def register(self) -> None:
        """Tell the master who is here, and what; again, if it had given this executor up."""
        self.is_known = True
        self.master.send(RegisterBlockManager(self.location, self.max_memory_bytes, self.self_ref))
        self.blocks.report_all()
        self.perform()

    def receive(self, message: ToBlockManager, context: CallContext) -> None:
        """Drop what is persisted no more, get copies of what others hold."""
        match message:
            case RemoveRddBlocks():
                self.blocks.remove_rdd(message.rdd_id, message.generation)
            case ReplicateBlock():
                if self.fetcher is not None:
                    self.blocks.replicate(message.rdd_id, message.partition, message.level, message.generation)
            case TakeBlock():
                self.take(message, context)
            case _:
                assert_never(message)
        self.perform()

    def take(self, message: TakeBlock, context: CallContext) -> None:
        """Get a block of an executor that goes; it is told when the block is here, or why it cannot be."""
        if self.fetcher is None or self.is_leaving():
            context.reply(BlockTaken(False, self.is_leaving()))
            return
        self.blocks.replicate(message.rdd_id, message.partition, message.level, message.generation)
        block_id = rdd_block_id(message.rdd_id, message.partition)
        block = self.blocks.blocks.get(block_id)
        if block is not None and block.is_fetched:
            self.takers.setdefault(block_id, []).append(context)
        else:
            context.reply(BlockTaken(block is not None, False))

    # -- what the executor calls -------------------------------------------------------------------------------------

    def asked(
        self, slot: int, task: TaskDescription, request: BlockRequest, answer: Callable[[BlockPlan], None]
    ) -> None:
        """Answer a runner, now or when another attempt has finished with the block."""
        number = next(self.numbers)
        self.answers[number] = answer
        self.slot_of_partition[task.partition] = slot
        self.blocks.asked(Asker(slot, task.task_id, number), request)
        self.perform()

    def attempt_ended(self, task_id: TaskId, succeeded: bool) -> None:
        """Release what an attempt held."""
        if task_id in self.blocks.held:
            self.blocks.task_ended(task_id, succeeded)
            self.perform()

    def runner_lost(self, slot: int) -> None:
        """Forget the objects of a runner that is gone."""
        self.blocks.runner_lost(slot)
        for partition in [each for each, known in self.slot_of_partition.items() if known == slot]:
            del self.slot_of_partition[partition]

    def evict(self, size_bytes: int, floor_bytes: int) -> None:
        """Have so much leave the memory, which tasks need, but nothing below a floor."""
        self.blocks.shrink(size_bytes, floor_bytes)
        self.perform()

    def slot_for(self, task: TaskDescription) -> int | None:
        """Return the slot where the same partition of persisted RDDs was used last; None if nobody knows.

        A task does not say what it will read. Partitions of one number go together in nearly all programs, and where
        they do not, the shared copy is read.
        """
        return self.slot_of_partition.get(task.partition)

    # -- effects -----------------------------------------------------------------------------------------------------

    def perform(self) -> None:
        """Do what the machine wants done."""
        while effects := self.blocks.take_effects():
            for effect in effects:
                self.do(effect)

    def do(self, effect: Effect) -> None:
        """Do one thing."""
        match effect:
            case Answer(asker, plan):
                self.answers.pop(asker.ask_id)(plan)
            case RemoveFile(path):
                self.scope.spawn(self.world.run_blocking(remove, path), name=f"remove {path}", owner=self)
            case DropLive(slot, block_ids):
                self.drop_live(slot, block_ids)
            case Report(block_id, path, size_bytes, level, in_memory, live_bytes, generation):
                self.tell(
                    UpdateBlockInfo(
                        self.location,
                        block_id,
                        path,
                        size_bytes,
                        in_memory,
                        live_bytes,
                        level,
                        generation,
                        self.service_port if path and not in_memory else 0,
                    )
                )
            case MoveFile(block_id, source, target):
                self.scope.spawn(self.move(block_id, source, target), name=f"move {block_id}", owner=self)
            case Fetch(block_id, path):
                self.scope.spawn(self.fetch(block_id, path), name=f"fetch {block_id}", owner=self)

    def tell(self, update: UpdateBlockInfo) -> None:
        """Tell the master about a block. If it does not know this executor, that registers again, once."""

        def answered(future: "asyncio.Future[BlockInfoUpdated]") -> None:
            if future.cancelled() or future.exception() is not None:
                return  # whether the driver lives is found out elsewhere
            if not future.result().is_known and self.is_known:
                self.is_known = False
                self.reregister()

        self.master.ask(update).add_done_callback(answered)

    async def move(self, block_id: BlockId, source: str, target: str) -> None:
        """Copy the file of a block to disk."""
        try:
            await self.world.run_blocking(copy_file, source, target)
        except OSError as error:
            logger.warning("block %s is dropped: it cannot be moved to disk: %s", block_id, error)
            self.blocks.moved(block_id, False)
        else:
            self.blocks.moved(block_id, True)
        self.perform()

    async def fetch(self, block_id: BlockId, path: str) -> None:
        """Look for a block on other executors."""
        assert self.fetcher is not None
        try:
            size_bytes = await self.fetcher.fetch(block_id, path)
        except MiniSparkError:
            size_bytes = -1
        self.blocks.fetched(block_id, path, size_bytes)
        self.perform()
        for context in self.takers.pop(block_id, ()):
            context.reply(BlockTaken(self.blocks.path_of(block_id) is not None, False))

    # -- files -------------------------------------------------------------------------------------------------------

    def memory_path(self, block_id: BlockId, size_bytes: int) -> str:
        """Name a file on tmpfs, or on disk if there is no tmpfs with that much room."""
        directory = None if self.memory is None else self.memory.directory
        if directory is None or room_in(directory) < size_bytes + RESERVE_BYTES:
            return self.disk_path(block_id)
        return os.path.join(directory, f"{block_id}.{next(self.numbers)}")

    def disk_path(self, block_id: BlockId) -> str:
        """Name a file on disk. Names are never used again: what removes a file may come late."""
        return os.path.join(self.disk_directory, f"{block_id}.{next(self.numbers)}")


def room_in(directory: str) -> int:
    """Return how many bytes a file system has room for."""
    try:
        facts = os.statvfs(directory)
    except OSError:
        return 0
    return facts.f_bavail * facts.f_frsize
