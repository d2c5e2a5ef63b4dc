"""`to_local_iterator`: the records one after another in the driver, while partitions ahead are computed."""

from collections import deque
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from minispark.rdd import closures
from minispark.rdd.arguments import check_prefetch
from minispark.rdd.driver_side import DriverSide
from minispark.rdd.face import Face
from minispark.rdd.merging import LoopTurn
from minispark.rdd.ports import TaskContext
from minispark.storage.batches import dump_batches, load_batch

if TYPE_CHECKING:
    import asyncio

__all__ = ["StreamMethods"]

T_co = TypeVar("T_co", covariant=True)


class Failed(NamedTuple):
    """How a job ahead ended badly; kept until the reader comes to its partition."""

    error: Exception


class StreamMethods(Face[T_co]):
    """Reading without collecting."""

    def to_local_iterator(self, prefetch_partitions: int | None = None) -> AsyncGenerator[T_co]:
        """Yield all records in the order of the partitions, in memory for a few partitions.

        Each partition is a job, and several run ahead of the reader, as long as what waits for it stays below
        `minispark.localIterator.bufferSize` bytes (pickled). Closing the iterator cancels the jobs that run.

        Args:
            prefetch_partitions: how many run ahead; None: `minispark.localIterator.prefetchPartitions`.

        Raises:
            ConfigurationError: the number is not a whole one of at least 1.
        """
        configured = self.context.conf.local_iterator_prefetch
        return self.read_ahead(configured if prefetch_partitions is None else check_prefetch(prefetch_partitions))

    async def read_ahead(self, ahead: int) -> AsyncGenerator[T_co]:
        """Yield the records, while so many partitions are computed ahead."""
        conf = self.context.conf
        await self.prepare()
        waiting: deque[asyncio.Task[list[bytes] | Failed]] = deque()
        todo = iter(range(self.get_num_partitions()))
        try:
            while True:
                # The one that is read now, and those ahead of it; a full buffer lets only the former start.
                while len(waiting) <= ahead and (not waiting or held_bytes(waiting) < conf.local_iterator_buffer):
                    partition = next(todo, None)
                    if partition is None:
                        break
                    waiting.append(
                        self.context.spawn(self.read(partition), name=f"partition {partition} of {self!r}")
                    )
                if not waiting:
                    return
                batches = await waiting.popleft()
                if isinstance(batches, Failed):
                    raise batches.error
                for batch in batches:
                    with DriverSide("to_local_iterator", self.node):
                        records = load_batch(batch)
                    for record in records:
                        yield record
                    await LoopTurn()  # a reader that only computes would hold up the loop for a whole partition
        finally:
            for task in waiting:
                task.cancel()

    async def read(self, partition: int) -> "list[bytes] | Failed":
        """Return the records of a partition as batches; never raises, for nobody may be waiting."""
        try:
            (batches,) = await self.run(batches_of, [partition])
        except Exception as error:  # noqa: BLE001 - raised again where the reader comes to it
            return Failed(error)
        return batches


def held_bytes(waiting: "deque[asyncio.Task[list[bytes] | Failed]]") -> int:
    """Return how many bytes wait for the reader."""
    results = (task.result() for task in waiting if task.done() and not task.cancelled())
    return sum(len(batch) for batches in results if not isinstance(batches, Failed) for batch in batches)


def batches_of(context: TaskContext, records: Iterator[Any]) -> list[bytes]:
    """Return the records pickled in batches: the driver holds them so, and unpickles each when its turn comes."""
    return list(dump_batches(records, fallback=closures.dumps_value))
