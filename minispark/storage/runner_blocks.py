"""RunnerBlocks: persisted partitions as a runner sees them: kept as objects, read from files, or computed and stored.

`Node.iterator` comes here in a task. Where a block is, and whether there is room for it, is decided by the executor
(`logic.node_blocks`), which is asked each time; what is decided here is nothing. Runs inside the user-code bracket: a
kill may strike between any two steps, and leaves nothing that the executor does not know how to remove.
"""

import errno
import logging
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Any, Final, Protocol

from minispark.errors import MiniSparkError, RecordsChanged, StorageError
from minispark.ids import BlockId, RddId, rdd_block_id
from minispark.messages.runner_blocks import AbandonBlock, BlockPlan, NeedBlock, WriteBlock
from minispark.messages.storage_level import StorageLevel
from minispark.storage.batches import dump_batches
from minispark.storage.block_files import BlockWriter, Fallback, copy_file, read_block, record_batches, remove
from minispark.storage.size_estimator import estimate_bytes

__all__ = ["Persisted", "RunnerBlocks"]

logger = logging.getLogger(__name__)

MAX_TRIES: Final = 3
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

Compute = Callable[[], Iterator[Any]]
Ask = Callable[[Any], Any]


class Persisted(Protocol):
    """A persisted RDD, as its node tells it."""

    rdd_id: RddId
    storage_level: StorageLevel
    storage_generation: int


class TaskEnd(Protocol):
    """Where an attempt takes functions to run at its end."""

    def add_task_completion_listener(self, listener: Callable[[Any], object]) -> None:
        """Have a function run at the end."""


class LiveBlock:
    """The records of a block as objects, their size, and when it was persisted; with a digest if it is checked."""

    __slots__ = ("digest", "generation", "records", "size_bytes")

    def __init__(self, records: list[Any], size_bytes: int, generation: int, digest: int) -> None:
        self.records = records
        self.size_bytes = size_bytes
        self.generation = generation
        self.digest = digest


class RunnerBlocks:
    """The persisted partitions of one runner.

    Args:
        ask: asks the executor and waits for a `BlockPlan`.
        fallback: pickles what the C pickler cannot.
        checks_records: whether to find out who changes records that are kept as objects.
        has_added: whether the attempt that runs has added to accumulators.

    Attributes:
        live: the blocks that are kept as objects.
    """

    def __init__(
        self,
        ask: Ask,
        fallback: Fallback | None = None,
        *,
        checks_records: bool = False,
        has_added: Callable[[], bool] = lambda: False,
    ) -> None:
        self.ask = ask
        self.fallback = fallback
        self.checks_records = checks_records
        self.has_added = has_added
        self.live: dict[BlockId, LiveBlock] = {}

    def get_or_compute(self, rdd: Persisted, partition: int, compute: Compute, task: TaskEnd) -> Iterator[Any]:
        """Return the records of a persisted partition; if it is nowhere, they are computed and stored.

        Raises:
            Exception: whatever computing raises.
        """
        block_id = rdd_block_id(rdd.rdd_id, partition)
        lost_path = ""
        for _ in range(MAX_TRIES):
            live = self.live.get(block_id)
            if live is not None and live.generation != rdd.storage_generation:
                del self.live[block_id]
                live = None
            live_bytes = 0 if live is None else live.size_bytes
            plan: BlockPlan = self.ask(
                NeedBlock(rdd.rdd_id, partition, rdd.storage_level, rdd.storage_generation, live_bytes, lost_path)
            )
            if plan.action == "skip":
                return compute()
            if plan.action == "write":
                return Production(self, rdd, block_id, plan, task).produce(compute)
            try:
                return self.stored(rdd, block_id, plan, task)
            except StorageError as error:
                logger.warning("%s; the partition is computed again", error)
                lost_path = plan.path
        return compute()

    def stored(self, rdd: Persisted, block_id: BlockId, plan: BlockPlan, task: TaskEnd) -> Iterator[Any]:
        """Return the records of a stored block.

        Raises:
            StorageError: its file cannot be read.
        """
        live = self.live.get(block_id)
        if live is not None and plan.live:
            self.guard(rdd, block_id, live, task)
            return iter(live.records)
        records = read_block(plan.path, plan.size_bytes)
        return self.keep(rdd, block_id, list(records), 0, task) if plan.live else records

    def keep(
        self, rdd: Persisted, block_id: BlockId, records: list[Any], size_bytes: int, task: TaskEnd
    ) -> Iterator[Any]:
        """Keep records as objects."""
        size_bytes = size_bytes or max(1, estimate_bytes(records))
        digest = self.digest(records) if self.checks_records else 0
        live = self.live[block_id] = LiveBlock(records, size_bytes, rdd.storage_generation, digest)
        self.guard(rdd, block_id, live, task)
        return iter(records)

    def drop(self, block_ids: Iterable[BlockId]) -> None:
        """Let go of the objects of blocks; whoever iterates over them goes on."""
        for block_id in block_ids:
            self.live.pop(block_id, None)

    # -- records that somebody changes -------------------------------------------------------------------------------

    def digest(self, records: list[Any]) -> int:
        """Return a checksum of records as they are now."""
        checksum = 0
        for data in dump_batches(records, fallback=self.fallback):
            checksum = zlib.crc32(data, checksum)
        return checksum

    def guard(self, rdd: Persisted, block_id: BlockId, live: LiveBlock, task: TaskEnd) -> None:
        """Have the records of a block compared when the attempt ends that uses them."""
        if self.checks_records:
            task.add_task_completion_listener(lambda _: self.expect_unchanged(rdd, block_id, live))

    def expect_unchanged(self, rdd: Persisted, block_id: BlockId, live: LiveBlock) -> None:
        """Compare the records of a block with what they were.

        Raises:
            RecordsChanged: they differ; the objects are not used again.
        """
        if self.digest(live.records) != live.digest:
            self.drop([block_id])
            raise RecordsChanged(
                f"a function changed records of the persisted RDD {rdd!r} (block {block_id}): what later jobs find "
                "there would depend on chance; make new records instead, or copy them first"
            )


class Production:
    """The computing of one block that is being stored.

    Args:
        blocks: the runner's.
        rdd: whose partition it is.
        block_id: the block.
        plan: where it goes at first.
        task: the attempt.
    """

    def __init__(
        self, blocks: RunnerBlocks, rdd: Persisted, block_id: BlockId, plan: BlockPlan, task: TaskEnd
    ) -> None:
        self.blocks = blocks
        self.rdd = rdd
        self.block_id = block_id
        self.task = task
        self.limit_bytes = plan.size_bytes
        self.path = plan.path
        self.writer: BlockWriter | None = None
        self.records: list[Any] | None = [] if plan.live else None
        self.live_bytes = 0
        self.reloads = False  # the objects are made again of the mapped file, which holds most of their bytes
        self.is_offered = False  # the executor may have stored the file, and removes it if it has not

    def produce(self, compute: Compute) -> Iterator[Any]:
        """Compute the partition, store it if there is room, return its records.

        Raises:
            Exception: whatever computing raises.
        """
        try:
            self.writer = BlockWriter(self.path, self.blocks.fallback)
        except OSError as error:
            logger.warning("block %s is not stored: %s", self.block_id, error)
            self.abandon()
            return compute()
        try:
            return self.store(compute())
        except BaseException:
            if self.is_offered:
                self.writer.release()
            else:
                self.writer.discard()
            with suppress(MiniSparkError):
                self.abandon()
            raise

    def abandon(self) -> None:
        """Tell the executor that this attempt does not store the block."""
        self.blocks.ask(AbandonBlock(self.block_id))

    def store(self, computed: Iterator[Any]) -> Iterator[Any]:
        """Write batch by batch; where that ends for want of room, go on with what there is."""
        writer = self.writer
        assert writer is not None
        for batch in record_batches(computed, lambda: writer.size_bytes):
            full = self.write(batch)
            while full or writer.size_bytes + self.live_bytes > self.limit_bytes:
                plan = self.request(complete=False, full=full)
                if plan.action == "skip":
                    return chain(self.rescue(), computed)
                full = self.follow(plan)
        return self.finish()

    def write(self, batch: list[Any]) -> bool:
        """Write a batch, keep it as objects if they are kept; tells whether the file system is full."""
        writer = self.writer
        assert writer is not None
        if self.records is not None:
            self.records += batch
            self.live_bytes += estimate_bytes(batch)
        full = is_full(writer.write, batch)
        if self.records is not None and 2 * writer.buffer_bytes > writer.size_bytes:
            self.records, self.reloads = None, True
            self.live_bytes = 0
        return full

    def request(self, *, complete: bool, full: bool) -> BlockPlan:
        """Ask whether there is room, and make some if told so."""
        writer = self.writer
        assert writer is not None
        moved: list[BlockId] = []
        unmoved: list[BlockId] = []
        while True:
            live_bytes = max(1, writer.size_bytes - writer.buffer_bytes) if self.reloads else self.live_bytes
            plan: BlockPlan = self.blocks.ask(
                WriteBlock(
                    self.block_id,
                    writer.size_bytes,
                    live_bytes,
                    complete,
                    full,
                    tuple(moved),
                    tuple(unmoved),
                    complete and self.blocks.has_added(),
                )
            )
            if plan.action != "move":
                return plan
            moved.clear()
            unmoved.clear()
            for move in plan.moves:
                try:
                    copy_file(move.source, move.target)
                except OSError as error:
                    logger.warning("block %s is dropped: it cannot be moved to disk: %s", move.block_id, error)
                    unmoved.append(move.block_id)
                else:
                    remove(move.source)
                    moved.append(move.block_id)

    def follow(self, plan: BlockPlan) -> bool:
        """Go on as a plan says; tells whether the file system is full."""
        writer = self.writer
        assert writer is not None
        self.limit_bytes = plan.size_bytes
        if not plan.live:
            self.records, self.live_bytes, self.reloads = None, 0, False
        if plan.path != writer.path:
            return is_full(writer.move, plan.path) or is_full(writer.flush)
        return is_full(writer.flush)

    def finish(self) -> Iterator[Any]:
        """Store what is complete."""
        writer = self.writer
        assert writer is not None
        full = is_full(writer.flush)
        while True:
            self.is_offered = not full
            plan = self.request(complete=not full, full=full)
            if plan.action == "read":
                break
            self.is_offered = False
            if plan.action == "skip":
                return self.rescue()
            full = self.follow(plan)
        writer.close()
        if not plan.live:
            return iter(self.records) if self.records is not None else read_block(plan.path, plan.size_bytes)
        records = self.records
        if records is None:
            records = list(read_block(plan.path, plan.size_bytes))
        return self.blocks.keep(self.rdd, self.block_id, records, self.live_bytes, self.task)

    def rescue(self) -> Iterator[Any]:
        """Return the records of what is not stored, and remove the file."""
        writer = self.writer
        assert writer is not None
        if self.records is not None:
            writer.discard()
            return iter(self.records)
        return writer.take_back()


def is_full(step: Callable[..., object], *args: Any) -> bool:
    """Write; tells whether that failed for want of room.

    Raises:
        StorageError: it failed for another reason.
    """
    try:
        step(*args)
    except OSError as error:
        if error.errno in FULL:
            return True
        raise StorageError(f"a block cannot be written: {error}") from error
    return False
