from collections.abc import Callable
from typing import Any

import pytest

from minispark.context import SparkContext
from minispark.ids import BinaryId, BlockId, ExecutorId, JobId, TaskId
from minispark.messages.cluster import StatusUpdate
from minispark.messages.scheduler import DirectRunEnded, SubmitTaskSet
from minispark.messages.task import IndirectResult, Success, TaskDescription, TaskMetrics, TaskOutcome, TaskState
from minispark.scheduler.direct_runner import DirectRunner
from minispark.scheduler.launcher import FRAME_BYTES
from minispark.testing.builders import LineageBuilder, result_success, submit_job
from minispark.testing.fakes import RecordingRef
from tests.contexts import run_inline

EXECUTOR = ExecutorId("driver")


class Backend:
    """An executor with some free cores."""

    def __init__(self, cores: int) -> None:
        self.cores = cores
        self.launched: list[tuple[TaskDescription, Callable[[StatusUpdate], None]]] = []
        self.killed: list[tuple[TaskId, bool, str]] = []

    def launch_directly(self, task: TaskDescription, ended: Callable[[StatusUpdate], None]) -> bool:
        self.cores -= 1
        if self.cores >= 0:
            self.launched.append((task, ended))
        return self.cores >= 0

    def kill_directly(self, task_id: TaskId, interrupt: bool, reason: str) -> None:
        self.killed.append((task_id, interrupt, reason))

    def end(self, outcome: TaskOutcome) -> None:
        task, ended = self.launched[-1]
        ended(StatusUpdate(EXECUTOR, task.task_id, TaskState.FINISHED, outcome))

    def partition_data(self, binary_id: BinaryId, partition: int) -> bytes:
        if partition == 1:
            raise MemoryError
        return b"%d of %d" % (partition, binary_id)


def runner(
    cores: int, partition: int = 2, room: int = 100
) -> tuple[DirectRunner, Backend, RecordingRef, list[IndirectResult]]:
    backend, dag, dropped = Backend(cores), RecordingRef("DAGScheduler"), list[IndirectResult]()
    made = DirectRunner(backend, backend, dag, 1, dropped.append, FRAME_BYTES + room)
    build = LineageBuilder()
    build.source(3)
    made.run(submit_job(7, build.lineage(), [partition]))
    return made, backend, dag, dropped


def test_the_task_of_a_job_is_launched_and_its_end_told() -> None:
    made, backend, dag, _ = runner(1)
    ((task, _),) = backend.launched
    assert (task.job_id, task.partition, bytes(task.partition_data)) == (7, 2, b"2 of 7")
    made.kill(JobId(7), True, "enough")
    backend.end(result_success(b"it"))
    made.kill(JobId(7), True, "too late")
    assert dag.sent == [DirectRunEnded(JobId(7), EXECUTOR, result_success(b"it"))]
    assert backend.killed == [(task.task_id, True, "enough")]
    assert made.task_of == {}


def test_without_a_free_core_the_scheduler_is_told_at_once() -> None:
    _, backend, dag, _ = runner(0)
    assert backend.launched == []
    assert dag.sent == [DirectRunEnded(JobId(7), ExecutorId(""), None)]


@pytest.mark.parametrize(("partition", "room"), [(1, 100), (2, 5)], ids=["cannot be had", "too large to be sent"])
def test_without_what_the_task_needs_the_scheduler_is_told_at_once(partition: int, room: int) -> None:
    _, backend, dag, _ = runner(1, partition, room)
    assert backend.launched == []
    assert dag.sent == [DirectRunEnded(JobId(7), ExecutorId(""), None)]


def test_a_result_that_stayed_with_the_executor_is_dropped() -> None:
    _, backend, dag, dropped = runner(1)
    result = IndirectResult(BlockId("taskresult_1"), 10, False, "file", (10,))
    backend.end(Success(result, TaskMetrics()))
    assert dropped == [result]
    assert dag.sent == [DirectRunEnded(JobId(7), EXECUTOR, None)]


def first(context: Any, records: Any) -> Any:
    return next(records)


def divide(context: Any, records: Any) -> Any:
    return 1 // next(records)


def test_one_partition_runs_past_the_task_scheduler_and_others_do_not() -> None:
    async def scenario(sc: SparkContext) -> Any:
        seen: list[str] = []
        assert sc.driver.env is not None
        sc.driver.env.dispatcher.observer = lambda endpoint, message, context: seen.append(type(message).__name__)
        numbers = sc.parallelize(range(1, 9), 4)
        found = await sc.run_job(numbers, first, [2], allow_local=True), await numbers.take(1), await numbers.first()
        with pytest.raises(ZeroDivisionError) as raised:
            await sc.run_job(sc.parallelize([0, 1], 2), divide, [0], allow_local=True)
        assert "in partition 0, attempt 1" in "".join(raised.value.__notes__)
        assert SubmitTaskSet.__name__ not in seen
        assert await numbers.take(8) == list(range(1, 9))
        assert SubmitTaskSet.__name__ in seen
        return found

    assert run_inline(scenario) == ([5], [1], 1)


@pytest.mark.parametrize(("max_failures", "expected"), [(1, 1), (3, 4)])
def test_what_such_a_task_adds_before_it_fails_counts_where_failures_do(max_failures: int, expected: int) -> None:
    async def scenario(sc: SparkContext) -> None:
        total, exact = sc.accumulator(0, count_failed_values=True), sc.accumulator(0)

        def fail(context: Any, records: Any) -> None:
            total.add(1)
            exact.add(1)
            raise ValueError("a bug of the task")

        with pytest.raises(ValueError, match="a bug"):
            await sc.run_job(sc.parallelize([1], 1), fail, [0], allow_local=True)
        assert (total.value, exact.value) == (expected, 0)

    run_inline(scenario, f"local[1,{max_failures}]")


def test_what_such_a_task_adds_to_an_accumulator_counts() -> None:
    async def scenario(sc: SparkContext) -> None:
        total = sc.accumulator(0)
        await sc.run_job(sc.parallelize([1, 2], 2), lambda context, records: total.add(5), [0], allow_local=True)
        await sc.parallelize([1], 1).count()
        assert total.value == 5

    run_inline(scenario)
