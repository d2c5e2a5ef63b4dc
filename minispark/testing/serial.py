"""SerialJobRunner: runs jobs here and now, one partition after another, without scheduler, executor or files.

The reference for what an RDD means: tests compare the engine with it. It pickles what a real job would pickle (task,
partition, map outputs, results), so that nothing works here that would fail there. Must stay too simple to be wrong.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from itertools import count
from typing import Any, NoReturn, TypeVar, TypeVarTuple

from minispark.conf import SparkConf
from minispark.errors import PicklingError
from minispark.executor.task_context import TaskContextImpl
from minispark.ids import AccumulatorId, BinaryId, ExecutorId, JobId, RddId, ShuffleId, StageId, TaskId
from minispark.messages.storage_level import StorageLevel
from minispark.messages.task import BlockManagerId, MapStatus, TaskDescription
from minispark.rdd import closures
from minispark.rdd.accumulators import Accumulator, AccumulatorParam, Additions, param_for, set_additions
from minispark.rdd.aggregator import Aggregator
from minispark.rdd.dependency import ShuffleDependency
from minispark.rdd.files import JobOutput
from minispark.rdd.lineage import prepare
from minispark.rdd.node import Node, Partition, parents_first
from minispark.rdd.ports import MutableTaskMetrics
from minispark.rdd.tasks import ResultTask, ShuffleMapTask, TaskWork

__all__ = ["SerialJobRunner"]

T = TypeVar("T")
Source = tuple[Callable[[Any, dict[Any, Any]], None], Iterable[tuple[Any, Any]]]
Ts = TypeVarTuple("Ts")

HERE = BlockManagerId(ExecutorId("serial"), "localhost", 0, "")


class NeverKilled:
    """What a task here learns about being killed."""

    killed = False
    reason = ""


class MemoryShuffles:
    """All shuffles of an application, in memory; implements `ports.ShuffleAccess` in the plainest way.

    Attributes:
        outputs: per shuffle and map partition, the pickled pairs of each reducer.
    """

    def __init__(self) -> None:
        self.outputs: dict[ShuffleId, dict[int, list[bytes]]] = {}

    def write(
        self,
        dependency: ShuffleDependency[Any, Any, Any],
        map_index: int,
        records: Iterable[tuple[Any, Any]],
    ) -> MapStatus:
        """Place the pairs one by one, combined before if the dependency says so."""
        if dependency.map_side_combine and dependency.aggregator is not None:
            combined: dict[Any, Any] = {}
            dependency.aggregator.combine_values(records, combined)
            records = combined.items()
        buckets: list[list[tuple[Any, Any]]] = [[] for _ in range(dependency.partitioner.num_partitions)]
        for key, value in records:
            buckets[dependency.partitioner.partition(key)].append((key, value))
        outputs = [closures.dumps_value(bucket) for bucket in buckets]
        self.outputs.setdefault(dependency.shuffle_id, {})[map_index] = outputs
        return MapStatus(HERE, TaskId(0), map_index, bytes(len(outputs)), sum(map(len, outputs)), 0)

    def read(self, dependency: ShuffleDependency[Any, Any, Any], reduce_partition: int) -> Iterator[tuple[Any, Any]]:
        """Yield a reducer's pairs, those of the first map partition first."""
        outputs = self.outputs.get(dependency.shuffle_id, {})
        pairs = (
            pair
            for map_index in sorted(outputs)
            for pair in closures.loads_value(outputs[map_index][reduce_partition])
        )
        if dependency.aggregator is None:
            return pairs
        combined: dict[Any, Any] = {}
        if dependency.map_side_combine:
            dependency.aggregator.combine_combiners(pairs, combined)
        else:
            dependency.aggregator.combine_values(pairs, combined)
        return iter(combined.items())

    def combined(self, aggregator: Aggregator[Any, Any], sources: Sequence[Source]) -> Iterator[tuple[Any, Any]]:
        """Yield the combined value of each key."""
        combined: dict[Any, Any] = {}
        for loop, records in sources:
            loop(records, combined)
        return iter(combined.items())

    def in_order(self, records: Iterable[Any], key: Callable[[Any], Any], *, reverse: bool = False) -> Iterator[Any]:
        """Yield records sorted."""
        return iter(sorted(records, key=key, reverse=reverse))


class SerialJobRunner:
    """A context without a cluster; implements `ports.JobRunner`.

    Args:
        conf: the settings; None: the defaults.
        default_parallelism: partitions when not said otherwise.

    Attributes:
        jobs: for each job, the partitions it ran on.
        map_tasks: how many map tasks ran; a shuffle's run once.
    """

    def __init__(self, conf: SparkConf | None = None, default_parallelism: int = 2) -> None:
        self.conf = SparkConf(environment={}) if conf is None else conf
        self.default_parallelism = default_parallelism
        self.shuffles = MemoryShuffles()
        self.jobs: list[list[int]] = []
        self.map_tasks = 0
        self.rdd_ids = count()
        self.shuffle_ids = count()
        self.task_ids = count()
        self.written: set[ShuffleId] = set()
        self.accumulators: dict[AccumulatorId, Accumulator[Any]] = {}

    def new_rdd_id(self) -> RddId:
        """Return the next RDD id."""
        return RddId(next(self.rdd_ids))

    def new_shuffle_id(self) -> ShuffleId:
        """Return the next shuffle id."""
        return ShuffleId(next(self.shuffle_ids))

    def persist(self, node: Node[Any], level: StorageLevel) -> None:
        """Note the level; nothing is kept here."""
        node.is_cached, node.storage_level = True, level

    def unpersist(self, node: Node[Any]) -> None:
        """Forget the level."""
        node.is_cached, node.storage_level = False, StorageLevel.NONE

    def checkpoint(self, node: Node[Any], is_local: bool) -> None:
        """Do nothing: what an RDD means is the same without."""

    def accumulator(self, initial: T, param: AccumulatorParam[T] | None = None) -> Accumulator[T]:
        """Make an accumulator."""
        made = Accumulator(initial, param or param_for(initial), "", False)
        self.accumulators[made.accumulator_id] = made
        return made

    def spawn(self, coroutine: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Run a coroutine on the running loop."""
        return asyncio.get_running_loop().create_task(coroutine, name=name)

    async def run_blocking(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Run a function here and now."""
        return function(*args)

    async def give_up(self, output: JobOutput) -> None:
        """Remove what a job that failed has written."""
        await self.run_blocking(output.abandon)

    def __reduce__(self) -> NoReturn:
        raise PicklingError("a job runner is used inside a function that runs in tasks; it exists in the driver only")

    async def run_job(
        self,
        rdd: Any,
        function: Callable[..., Any],
        partitions: Sequence[int] | None = None,
        allow_local: bool = False,
    ) -> list[Any]:
        """Run a function over partitions, after the shuffles above that are not written yet."""
        node: Node[Any] = rdd.node
        await prepare(node)
        all_partitions = node.partitions()
        wanted = list(range(len(all_partitions)) if partitions is None else partitions)
        self.jobs.append(wanted)
        if wanted:
            self.write_shuffles(node)
        result_task = closures.dumps(ResultTask(node, function))
        values = []
        for index in wanted:
            await asyncio.sleep(0)  # noqa: TID251 - there is no world here, and a job gives the loop its turn
            values.append(self.run_task(result_task, all_partitions[index]))
        return values

    def write_shuffles(self, node: Node[Any]) -> None:
        """Run the map tasks of all shuffles above a node, parents first."""
        for above in parents_first(node):
            for dependency in above.dependencies:
                if isinstance(dependency, ShuffleDependency) and dependency.shuffle_id not in self.written:
                    map_task = closures.dumps(ShuffleMapTask(dependency.node, dependency))
                    for partition in dependency.node.partitions():
                        self.run_task(map_task, partition)
                        self.map_tasks += 1
                    self.written.add(dependency.shuffle_id)

    def run_task(self, binary: bytes, partition: Partition) -> Any:
        """Run one task as a runner would: unpickle, compute, pickle the value."""
        task = TaskDescription(
            TaskId(next(self.task_ids)), 0, ExecutorId("serial"), JobId(0), StageId(0), 0, partition.index,
            partition.index, BinaryId(0), 0, 1, (), {}, b"",
        )  # fmt: skip
        context = TaskContextImpl(task, MutableTaskMetrics(), NeverKilled(), lambda _: self.shuffles)
        work: TaskWork = closures.loads(binary)
        is_plain = type(partition) is Partition
        mine = Partition(partition.index) if is_plain else closures.loads_value(closures.dumps_value(partition))
        additions: Additions = {}
        set_additions(additions)
        try:
            value = work.run(mine, context)
        except BaseException as error:
            context.mark_failed(error)
            raise
        finally:
            set_additions(None)
            context.mark_completed()
        for accumulator_id, addition in additions.items():
            self.accumulators[accumulator_id].pending.append(closures.dumps_value(addition.value))
        return closures.loads_value(closures.dumps_value(value))
