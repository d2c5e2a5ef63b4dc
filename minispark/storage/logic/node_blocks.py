"""NodeBlocks: the persisted partitions of one executor: where each is, who reads or writes it, what has to go.

Takes the requests of runners (`messages.runner_blocks`) and returns effects; `block_manager` performs them. A block
is written by one attempt while others that need it wait, then read by many. Locks end with the attempt that holds
them. Source: Spark's BlockManager and BlockInfoManager.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from minispark.ids import BlockId, RddId, TaskId, rdd_block_id
from minispark.messages.runner_blocks import AbandonBlock, BlockMove, BlockPlan, BlockRequest, NeedBlock, WriteBlock
from minispark.messages.storage_level import StorageLevel
from minispark.record import Record, record
from minispark.storage.logic.memory_store import SHARED, Copy, MemoryStore

__all__ = ["Answer", "Asker", "DropLive", "Effect", "Fetch", "NodeBlocks", "Paths", "RemoveFile", "Report"]

FIRST_BYTES: Final = 1 << 20  # a block may grow that far before anybody is asked
GROWTH: Final = (1.5, 1.0625)  # how much room is looked for, over what is there; the second if the first is too much
SKIP: Final = BlockPlan("skip")


class Asker(NamedTuple):
    """Who waits for an answer: the ask of an attempt in a slot."""

    slot: int
    task_id: TaskId
    ask_id: int


@record
class Answer(Record):
    """Tell a runner."""

    asker: Asker
    plan: BlockPlan


@record
class RemoveFile(Record):
    """Remove a file."""

    path: str


@record
class DropLive(Record):
    """Have a runner let go of the objects of blocks."""

    slot: int
    block_ids: tuple[BlockId, ...]


@record
class Report(Record):
    """Tell the master where a block is now: nowhere if the path is empty."""

    block_id: BlockId
    path: str
    size_bytes: int
    level: StorageLevel
    in_memory: bool
    live_bytes: int
    generation: int


@record
class Fetch(Record):
    """Look for a block on other executors, then say `fetched`."""

    block_id: BlockId
    path: str


Effect = Answer | RemoveFile | DropLive | Report | Fetch


class Paths(NamedTuple):
    """Names new files: on tmpfs, if bytes fit there (else on disk), and on disk."""

    memory: Callable[[BlockId, int], str]
    disk: Callable[[BlockId], str]


@dataclass(slots=True)
class Block:
    """One block.

    Attributes:
        path: its file, finished or not.
        in_memory: whether its file counts as memory.
        size_bytes: the file's size; 0 until it is finished.
        live_bytes: what its objects take in a runner; as far as known.
        writer: the attempt that computes it; None once it is stored.
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


class NodeBlocks:
    """All blocks of an executor.

    Args:
        max_bytes: the bound of its memory for storage.
        paths: names files.
        has_peers: whether other executors may have a block.
    """

    def __init__(self, max_bytes: int, paths: Paths, has_peers: Callable[[], bool] = lambda: False) -> None:
        self.paths = paths
        self.has_peers = has_peers
        self.blocks: dict[BlockId, Block] = {}
        self.memory = MemoryStore(max_bytes, self.is_locked)
        self.removed: dict[RddId, int] = {}  # the generation up to which an RDD is not persisted any more
        self.held: dict[TaskId, dict[BlockId, None]] = {}  # what an attempt reads, writes or moves
        self.effects: list[Effect] = []

    def take_effects(self) -> list[Effect]:
        """Return what is to be done since the last call, in order."""
        effects, self.effects = self.effects, []
        return effects

    def is_locked(self, block_id: BlockId) -> bool:
        """Tell whether somebody reads, writes, moves or fetches a block."""
        block = self.blocks.get(block_id)
        return block is not None and (bool(block.readers) or not block.is_stored)

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
        self.finish_moves(asker.task_id, request)
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

    def store(self, asker: Asker, block: Block, request: WriteBlock, live: bool) -> None:
        """Take a finished block, and let those read it who waited."""
        block.writer = None
        block.size_bytes = request.file_bytes
        block.live_bytes = max(block.live_bytes, request.live_bytes)
        block.readers[asker.task_id] += 1
        self.answer(asker, BlockPlan("read", block.path, block.size_bytes, live))
        self.report(block)
        self.serve_waiting(block)

    # -- room ----------------------------------------------------------------------------------------------------

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

    def finish_moves(self, task_id: TaskId, request: WriteBlock) -> None:
        """Note which blocks an attempt has moved to disk, and give up those that it could not."""
        for block_id in (*request.moved, *request.unmoved):
            block = self.blocks.get(block_id)
            if block is None or block.mover != task_id:
                continue
            self.let_go(task_id, block_id)
            block.mover = None
            if block_id in request.unmoved:
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

    # -- what ends -----------------------------------------------------------------------------------------------

    def task_ended(self, task_id: TaskId) -> None:
        """Release what an attempt holds; what it had not finished writing or moving is gone."""
        for block_id in self.held.pop(task_id, ()):
            block = self.blocks.get(block_id)
            if block is None:
                continue
            block.readers.pop(task_id, None)
            block.waiting = [each for each in block.waiting if each[0].task_id != task_id]
            if task_id in (block.writer, block.mover):
                self.drop(block)

    def runner_lost(self, slot: int) -> None:
        """Forget the objects that were in a runner."""
        for block in self.blocks.values():
            if block.live_in.pop(slot, slot) is None:
                self.memory.remove(Copy(block.block_id, slot))

    def remove_rdd(self, rdd_id: RddId, generation: int) -> int:
        """Drop all blocks of an RDD that is not persisted any more; returns how many. Who reads one goes on."""
        self.removed[rdd_id] = max(generation, self.removed.get(rdd_id, 0))
        gone = [block for block in self.blocks.values() if block.rdd_id == rdd_id and block.generation <= generation]
        for block in gone:
            if self.blocks.get(block.block_id) is block:
                self.drop(block)
        return len(gone)

    def replicate(self, rdd_id: RddId, partition: int, level: StorageLevel, generation: int) -> None:
        """Look for a copy of a block elsewhere, unless it is here or on its way, or persisted no more."""
        block_id = rdd_block_id(rdd_id, partition)
        if block_id in self.blocks or generation <= self.removed.get(rdd_id, 0):
            return
        path = self.paths.memory(block_id, FIRST_BYTES) if level.use_memory else self.paths.disk(block_id)
        self.blocks[block_id] = Block(block_id, rdd_id, level, generation, path, level.use_memory, is_fetched=True)
        self.effects.append(Fetch(block_id, path))

    def path_of(self, block_id: BlockId) -> str | None:
        """Return the file of a stored block; None if it is not here."""
        block = self.blocks.get(block_id)
        return block.path if block is not None and block.is_stored else None

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

    def make_shared_room(self, block: Block, size_bytes: int) -> bool:
        """Take a fetched file into memory, if only copies have to go that need not be moved to disk."""
        victims = self.memory.victims(Copy(block.block_id), block.rdd_id, size_bytes)
        if victims is None or any(
            each.slot == SHARED and self.blocks[each.block_id].level.use_disk for each in victims
        ):
            return False
        self.evict(TaskId(-1), victims)
        self.memory.put(Copy(block.block_id), block.rdd_id, size_bytes)
        return True

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
            assert all(Copy(block.block_id, slot) in self.memory.copies for slot in block.live_in), block
            for task_id in (*block.readers, block.writer, block.mover):
                assert task_id is None or block.block_id in self.held[task_id], block

    def assert_unlocked(self) -> None:
        """Assert that no attempt holds anything."""
        assert not any(self.held.values()), f"held: {self.held}"
        assert not any(self.is_locked(block_id) for block_id in self.blocks)
