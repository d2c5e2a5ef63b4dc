"""NodeBlocks: the persisted partitions of one executor: where each is, who reads or writes it, what has to go.

Takes the requests of runners (`messages.runner_blocks`) and returns effects; `block_manager` performs them. A block
is written by one attempt while others that need it wait, then read by many. Locks end with the attempt that holds
them. A block whose computing added to accumulators is its attempt's alone until that succeeds: see `Block.unproven`.
Source: Spark's BlockManager and BlockInfoManager.
"""

from collections.abc import Callable
from typing import Final

from minispark.ids import BlockId, RddId, TaskId, rdd_block_id
from minispark.messages.runner_blocks import AbandonBlock, BlockPlan, BlockRequest, NeedBlock, WriteBlock
from minispark.messages.storage_level import StorageLevel
from minispark.storage.logic.block_effects import Asker, Fetch, Paths
from minispark.storage.logic.block_store import GROWTH, Block, BlockStore
from minispark.storage.logic.memory_store import Copy

__all__ = ["NodeBlocks"]

FIRST_BYTES: Final = 1 << 20  # a block may grow that far before anybody is asked
SKIP: Final = BlockPlan("skip")


class NodeBlocks(BlockStore):
    """All blocks of an executor.

    Args:
        max_bytes: the bound of its memory for storage.
        paths: names files.
        has_peers: whether other executors may have a block.
    """

    def __init__(self, max_bytes: int, paths: Paths, has_peers: Callable[[], bool] = lambda: False) -> None:
        super().__init__(max_bytes, paths)
        self.has_peers = has_peers
        self.removed: dict[RddId, int] = {}  # the generation up to which an RDD is not persisted any more

    # -- requests ------------------------------------------------------------------------------------------------

    def asked(self, asker: Asker, request: BlockRequest) -> None:
        """Take a runner's request."""
        match request:
            case NeedBlock():
                self.need(asker, request)
            case WriteBlock():
                self.write(asker, request)
            case AbandonBlock():
                block = self.blocks.get(request.block_id)
                if block is not None and block.writer == asker.task_id:
                    self.drop(block)
                self.answer(asker, SKIP)

    def need(self, asker: Asker, request: NeedBlock) -> None:
        """Let an attempt read a block, wait for it, or write it."""
        if request.generation <= self.removed.get(request.rdd_id, 0):
            self.answer(asker, SKIP)
            return
        block_id = rdd_block_id(request.rdd_id, request.partition)
        block = self.blocks.get(block_id)
        if block is not None and (block.generation < request.generation or self.is_lost(block, request)):
            self.drop(block)
            block = self.blocks.get(block_id)
        if block is None:
            self.open(asker, request, block_id)
        elif not block.is_stored:
            self.wait(asker, request, block)
        elif block.unproven not in (None, asker.task_id):
            self.answer(asker, SKIP)  # it computes the partition for itself: to wait for an end could last for ever
        else:
            self.read(asker, request, block)

    def is_lost(self, block: Block, request: NeedBlock) -> bool:
        """Tell whether a runner could not read a block where it should be."""
        return bool(request.lost_path) and block.is_stored and block.path == request.lost_path

    def open(self, asker: Asker, request: NeedBlock, block_id: BlockId) -> None:
        """Begin a block: it is looked for elsewhere, or this attempt writes it."""
        in_memory = request.level.use_memory
        path = self.paths.memory(block_id, FIRST_BYTES) if in_memory else self.paths.disk(block_id)
        block = Block(block_id, request.rdd_id, request.level, request.generation, path, in_memory)
        self.blocks[block_id] = block
        if self.has_peers():
            block.is_fetched = True
            self.wait(asker, request, block)
            self.effects.append(Fetch(block_id, path))
            return
        self.let_write(asker, block)

    def wait(self, asker: Asker, request: NeedBlock, block: Block) -> None:
        """Have an attempt wait for a block."""
        block.waiting.append((asker, request))
        self.hold(asker.task_id, block.block_id)

    def let_write(self, asker: Asker, block: Block) -> None:
        """Have an attempt compute a block."""
        block.writer = asker.task_id
        self.hold(asker.task_id, block.block_id)
        self.answer(asker, BlockPlan("write", block.path, FIRST_BYTES, block.level.deserialized))

    def read(self, asker: Asker, request: NeedBlock, block: Block) -> None:
        """Let an attempt read a stored block; its runner may keep objects of it if there is room."""
        block.readers[asker.task_id] += 1
        self.hold(asker.task_id, block.block_id)
        copy = Copy(block.block_id, asker.slot)
        live = False
        if block.level.deserialized:
            size = request.live_bytes or self.memory.size_of(copy) or block.live_bytes or 2 * block.size_bytes
            live = self.make_room(copy, block.rdd_id, size)
        if live:
            block.live_bytes = max(block.live_bytes, request.live_bytes)
            block.live_in[asker.slot] = None
        else:
            self.drop_live(block, asker.slot)
        self.memory.touch(Copy(block.block_id))
        self.memory.touch(copy)
        self.answer(asker, BlockPlan("read", block.path, block.size_bytes, live))

    def write(self, asker: Asker, request: WriteBlock) -> None:
        """Let a block grow, or store it."""
        self.finish_moves(asker.task_id, request.moved, request.unmoved)
        block = self.blocks.get(request.block_id)
        if block is None or block.writer != asker.task_id:
            self.answer(asker, SKIP)  # its RDD is not persisted any more
            return
        path = block.path
        moves = self.find_room(asker, block, request)
        if moves:
            self.answer(asker, BlockPlan("move", moves=tuple(moves)))
            return
        if not block.path:
            self.drop(block)
            self.answer(asker, SKIP)
            return
        live = request.live_bytes > 0 and self.grow_live(asker, block, request)
        if request.complete and block.path == path:
            self.store(asker, block, request, live)
        else:
            limit = int(GROWTH[0] * (request.file_bytes + request.live_bytes)) + FIRST_BYTES
            self.answer(asker, BlockPlan("write", block.path, limit, live))

    def store(self, asker: Asker, block: Block, request: WriteBlock, live: bool) -> None:
        """Take a finished block, and let those read it who waited."""
        block.writer = None
        block.size_bytes = request.file_bytes
        block.live_bytes = max(block.live_bytes, request.live_bytes)
        block.readers[asker.task_id] += 1
        self.answer(asker, BlockPlan("read", block.path, block.size_bytes, live))
        if request.has_added:
            block.unproven = asker.task_id
        else:
            self.report(block)
        self.serve_waiting(block)

    # -- what ends, and what comes from elsewhere ------------------------------------------------------------------

    def task_ended(self, task_id: TaskId, succeeded: bool) -> None:
        """Release what an attempt holds; what it had not finished writing or moving is gone.

        What it stored goes, too, if it failed and its additions to accumulators with it: they are made anew.
        """
        for block_id in self.held.pop(task_id, ()):
            block = self.blocks.get(block_id)
            if block is None:
                continue
            block.readers.pop(task_id, None)
            block.waiting = [each for each in block.waiting if each[0].task_id != task_id]
            if task_id in (block.writer, block.mover) or (task_id == block.unproven and not succeeded):
                self.drop(block)
            elif task_id == block.unproven:
                block.unproven = None
                self.report(block)

    def remove_rdd(self, rdd_id: RddId, generation: int) -> int:
        """Drop all blocks of an RDD that is not persisted any more; returns how many. Who reads one goes on."""
        self.removed[rdd_id] = max(generation, self.removed.get(rdd_id, 0))
        gone = [block for block in self.blocks.values() if block.rdd_id == rdd_id and block.generation <= generation]
        for block in gone:
            if self.blocks.get(block.block_id) is block:
                self.drop(block)
        return len(gone)

    def report_all(self) -> None:
        """Tell the master about every block that can be read."""
        for block in self.blocks.values():
            if block.is_reported:
                self.report(block)

    def replicate(self, rdd_id: RddId, partition: int, level: StorageLevel, generation: int) -> None:
        """Look for a copy of a block elsewhere, unless it is here or on its way, or persisted no more."""
        block_id = rdd_block_id(rdd_id, partition)
        if block_id in self.blocks or generation <= self.removed.get(rdd_id, 0):
            return
        path = self.paths.memory(block_id, FIRST_BYTES) if level.use_memory else self.paths.disk(block_id)
        self.blocks[block_id] = Block(block_id, rdd_id, level, generation, path, level.use_memory, is_fetched=True)
        self.effects.append(Fetch(block_id, path))

    def fetched(self, block_id: BlockId, path: str, size_bytes: int) -> None:
        """Take a block that came from another executor; size -1: nobody has it, the first who waits computes it."""
        block = self.blocks.get(block_id)
        if block is None or not block.is_fetched or block.path != path:
            return
        block.is_fetched = False
        if size_bytes >= 0 and (not block.in_memory or self.make_shared_room(block, size_bytes)):
            block.size_bytes = size_bytes
            self.report(block)
            self.serve_waiting(block)
        elif block.waiting:
            asker, _ = block.waiting.pop(0)
            self.let_write(asker, block)
        else:
            self.drop(block)

    def assert_unlocked(self) -> None:
        """Assert that no attempt holds anything."""
        assert not any(self.held.values()), f"held: {self.held}"
        assert not any(self.is_locked(block_id) for block_id in self.blocks)
