"""BlockStore: the blocks of one executor, where the copies of each are, and what has to go so that others fit.

The half of `node_blocks.NodeBlocks` that knows room; who may read or write is decided there. Source: Spark's
MemoryStore, DiskStore and BlockInfoManager.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from minispark.ids import BlockId, RddId, TaskId
from minispark.messages.runner_blocks import BlockMove, BlockPlan, NeedBlock, WriteBlock
from minispark.messages.storage_level import StorageLevel
from minispark.storage.logic.block_effects import Answer, Asker, DropLive, Effect, MoveFile, Paths, RemoveFile, Report
from minispark.storage.logic.memory_store import SHARED, Copy, MemoryStore

__all__ = ["GROWTH", "Block", "BlockStore"]

MANAGER: Final = TaskId(-1)  # moves blocks for nobody's sake but everybody's
GROWTH: Final = (1.5, 1.0625)  # how much room is looked for, over what is there; the second if the first is too much


@dataclass(slots=True)
class Block:
    """One block.

    Attributes:
        path: its file, finished or not.
        in_memory: whether its file counts as memory.
        size_bytes: the file's size; 0 until it is finished.
        live_bytes: what its objects take in a runner; as far as known.
        writer: the attempt that computes it; None once it is stored.
        unproven: the attempt that computed it and added to accumulators meanwhile, until it ends. What it added
            counts only if it succeeds, and who reads the block does not add it again: so nobody else reads it.
        readers: how often each attempt has opened it.
        waiting: who needs it while it is written, moved or fetched.
        moving_to: where an attempt, `mover`, copies its file.
    """

    block_id: BlockId
    rdd_id: RddId
    level: StorageLevel
    generation: int
    path: str
    in_memory: bool
    size_bytes: int = 0
    live_bytes: int = 0
    writer: TaskId | None = None
    unproven: TaskId | None = None
    is_fetched: bool = False
    readers: Counter[TaskId] = field(default_factory=Counter)
    waiting: list[tuple[Asker, NeedBlock]] = field(default_factory=list)
    mover: TaskId | None = None
    moving_to: str = ""
    live_in: dict[int, None] = field(default_factory=dict)
    is_reported: bool = False

    @property
    def is_stored(self) -> bool:
        """Whether it can be read."""
        return self.writer is None and self.mover is None and not self.is_fetched

    @property
    def is_visible(self) -> bool:
        """Whether other executors may know of it."""
        return self.is_stored and self.unproven is None


class BlockStore:
    """All blocks of an executor.

    Args:
        max_bytes: the bound of its memory for storage.
        paths: names files.
    """

    def __init__(self, max_bytes: int, paths: Paths) -> None:
        self.paths = paths
        self.blocks: dict[BlockId, Block] = {}
        self.memory = MemoryStore(max_bytes, self.is_locked)
        self.held: dict[TaskId, dict[BlockId, None]] = {}  # what an attempt reads, writes or moves
        self.effects: list[Effect] = []

    def need(self, asker: Asker, request: NeedBlock) -> None:
        """Let an attempt read a block, wait for it, or write it."""
        raise NotImplementedError

    def take_effects(self) -> list[Effect]:
        """Return what is to be done since the last call, in order."""
        effects, self.effects = self.effects, []
        return effects

    def is_locked(self, block_id: BlockId) -> bool:
        """Tell whether somebody reads, writes, moves or fetches a block."""
        block = self.blocks.get(block_id)
        return block is not None and (bool(block.readers) or not block.is_stored)

    def path_of(self, block_id: BlockId) -> str | None:
        """Return the file of a stored block; None if it is not here."""
        block = self.blocks.get(block_id)
        return block.path if block is not None and block.is_visible else None

    # -- room ----------------------------------------------------------------------------------------------------

    def find_room(self, asker: Asker, block: Block, request: WriteBlock) -> list[BlockMove]:
        """See where the file of a block can be: in memory, on disk, or (no path) nowhere.

        Returns the blocks that must be moved to disk before it can stay in memory.
        """
        if request.full:
            self.leave_full(block)
        if not block.in_memory:
            return []
        for factor in (1.0,) if request.complete else GROWTH:
            size = int(factor * request.file_bytes)
            victims = self.memory.victims(Copy(block.block_id), block.rdd_id, size)
            if victims is None:
                continue
            moves = self.evict(asker.task_id, victims)
            if not moves:
                self.memory.put(Copy(block.block_id), block.rdd_id, size)
            return moves
        self.memory.remove(Copy(block.block_id))
        block.in_memory = False
        block.path = self.paths.disk(block.block_id) if block.level.use_disk else ""
        return []

    def leave_full(self, block: Block) -> None:
        """Find another file system for a block that does not fit where it is; on disk, it is the last."""
        disk = self.paths.disk(block.block_id)
        if block.level.use_disk:
            self.memory.remove(Copy(block.block_id))
            block.in_memory = False
        block.path = "" if block.path.rpartition("/")[0] == disk.rpartition("/")[0] else disk

    def grow_live(self, asker: Asker, block: Block, request: WriteBlock) -> bool:
        """Tell whether a runner may go on keeping the objects of the block that it writes."""
        copy = Copy(block.block_id, asker.slot)
        for factor in (1.0,) if request.complete else GROWTH:
            if self.make_room(copy, block.rdd_id, int(factor * request.live_bytes)):
                block.live_in[asker.slot] = None
                block.live_bytes = request.live_bytes
                return True
        self.drop_live(block, asker.slot)
        return False

    def make_room(self, copy: Copy, rdd_id: RddId, size_bytes: int) -> bool:
        """Take a live copy in, if only other live ones have to go for it."""
        victims = self.memory.victims(copy, rdd_id, size_bytes)
        if victims is None:
            return False
        for victim in victims:
            self.drop_live(self.blocks[victim.block_id], victim.slot)
        self.memory.put(copy, rdd_id, size_bytes)
        return True

    def make_shared_room(self, block: Block, size_bytes: int) -> bool:
        """Take a fetched file into memory, if only copies have to go that need not be moved to disk."""
        victims = self.memory.victims(Copy(block.block_id), block.rdd_id, size_bytes)
        if victims is None or any(
            each.slot == SHARED and self.blocks[each.block_id].level.use_disk for each in victims
        ):
            return False
        self.evict(MANAGER, victims)
        self.memory.put(Copy(block.block_id), block.rdd_id, size_bytes)
        return True

    def evict(self, task_id: TaskId, victims: list[Copy]) -> list[BlockMove]:
        """Let copies go; returns the moves of those that have a place on disk, which must end first."""
        moves = []
        for victim in victims:
            block = self.blocks[victim.block_id]
            if victim.slot != SHARED:
                self.drop_live(block, victim.slot)
            elif block.level.use_disk:
                block.mover = task_id
                block.moving_to = self.paths.disk(block.block_id)
                self.hold(task_id, block.block_id)
                moves.append(BlockMove(block.block_id, block.path, block.moving_to))
            else:
                self.drop(block)
        return moves

    def shrink(self, size_bytes: int, floor_bytes: int) -> None:
        """Let so much leave the memory because it is needed elsewhere, but not what is below a floor or in use.

        Objects go first, then files: to disk if their level has one. Those used longest ago go before others.
        """
        copies = sorted(self.memory.copies, key=lambda copy: copy.slot == SHARED)
        for copy in copies:
            if size_bytes <= 0 or self.memory.used_bytes <= floor_bytes:
                return
            if copy not in self.memory.copies or self.is_locked(copy.block_id):
                continue
            size_bytes -= self.memory.size_of(copy)
            for move in self.evict(MANAGER, [copy]):
                self.effects.append(MoveFile(move.block_id, move.source, move.target))

    def moved(self, block_id: BlockId, is_done: bool) -> None:
        """Take note that a file was copied to disk, or could not be."""
        block = self.blocks.get(block_id)
        if block is None or block.mover != MANAGER:
            return
        if is_done:
            self.effects.append(RemoveFile(block.path))
        self.finish_moves(MANAGER, (block_id,) if is_done else (), () if is_done else (block_id,))

    def finish_moves(self, task_id: TaskId, moved: Iterable[BlockId], unmoved: Collection[BlockId]) -> None:
        """Note which blocks an attempt has moved to disk, and give up those that it could not."""
        for block_id in (*moved, *unmoved):
            block = self.blocks.get(block_id)
            if block is None or block.mover != task_id:
                continue
            self.let_go(task_id, block_id)
            block.mover = None
            if block_id in unmoved:
                self.drop(block)
                continue
            self.memory.remove(Copy(block_id))
            block.path, block.moving_to, block.in_memory = block.moving_to, "", False
            self.report(block)
            self.serve_waiting(block)

    def drop_live(self, block: Block, slot: int) -> None:
        """Have a runner let go of a block's objects, if it has any."""
        self.memory.remove(Copy(block.block_id, slot))
        if slot in block.live_in:
            del block.live_in[slot]
            self.effects.append(DropLive(slot, (block.block_id,)))

    def drop(self, block: Block) -> None:
        """Forget a block, with its file; who waits for it begins anew."""
        del self.blocks[block.block_id]
        self.memory.remove(Copy(block.block_id))
        for slot in list(block.live_in):
            self.drop_live(block, slot)
        for task_id in (*block.readers, block.writer, block.mover):
            if task_id is not None:
                self.let_go(task_id, block.block_id)
        for path in (block.path, block.moving_to):
            if path:
                self.effects.append(RemoveFile(path))
        if block.is_reported:
            self.effects.append(Report(block.block_id, "", 0, block.level, False, 0, block.generation))
        for asker, request in block.waiting:
            self.need(asker, request)

    def runner_lost(self, slot: int) -> None:
        """Forget the objects that were in a runner."""
        for block in self.blocks.values():
            if block.live_in.pop(slot, slot) is None:
                self.memory.remove(Copy(block.block_id, slot))

    # -- small steps ---------------------------------------------------------------------------------------------

    def serve_waiting(self, block: Block) -> None:
        """Answer those who waited for a block."""
        waiting, block.waiting = block.waiting, []
        for asker, request in waiting:
            self.need(asker, request)

    def hold(self, task_id: TaskId, block_id: BlockId) -> None:
        """Note that an attempt uses a block."""
        self.held.setdefault(task_id, {})[block_id] = None

    def let_go(self, task_id: TaskId, block_id: BlockId) -> None:
        """Note that it does not any more."""
        held = self.held.get(task_id)
        if held is not None:
            held.pop(block_id, None)

    def answer(self, asker: Asker, plan: BlockPlan) -> None:
        """Tell a runner what to do."""
        self.effects.append(Answer(asker, plan))

    def report(self, block: Block) -> None:
        """Tell the master about a stored block."""
        block.is_reported = True
        live = sum(self.memory.size_of(Copy(block.block_id, slot)) for slot in block.live_in)
        self.effects.append(
            Report(block.block_id, block.path, block.size_bytes, block.level, block.in_memory, live, block.generation)
        )

    def check(self) -> None:
        """Assert the invariants."""
        self.memory.check()
        for copy in self.memory.copies:
            block = self.blocks[copy.block_id]
            assert block.in_memory if copy.slot == SHARED else copy.slot in block.live_in, copy
        for block in self.blocks.values():
            assert not (block.waiting and block.is_stored), block
            assert block.writer is None or not block.readers, block
            assert block.unproven is None or (block.unproven in block.readers and not block.is_reported), block
            assert all(Copy(block.block_id, slot) in self.memory.copies for slot in block.live_in), block
            for task_id in (*block.readers, block.writer, block.mover):
                assert task_id is None or block.block_id in self.held[task_id], block
