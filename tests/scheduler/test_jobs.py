import asyncio
import re
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from minispark.context import SparkContext
from minispark.errors import ConfigurationError, JobCancelled, JobFailed, ResultTooLarge
from minispark.ids import ExecutorId
from minispark.messages.listener import ListenerEvent, StageSubmitted, TaskEnd
from minispark.messages.task import ExceptionFailure, RunnerLost
from minispark.rdd.ports import TaskContext
from minispark.rpc.world import SystemWorld
from minispark.scheduler.job_waiter import JobTable
from minispark.scheduler.jobs import Jobs
from minispark.scheduler.logic.job import JobFailure
from minispark.scheduler.stage_work import StageWork
from minispark.storage.broadcast import BinaryTable
from minispark.testing.builders import exception_failure, fetch_failed
from minispark.testing.fakes import RecordingRef
from tests.contexts import run_inline


def numbers(context: TaskContext, records: Iterator[int]) -> list[int]:
    return list(records)


def test_run_job_gives_the_values_in_the_order_of_the_wanted_partitions() -> None:
    async def scenario(sc: SparkContext) -> Any:
        rdd = sc.parallelize(range(8), 4)
        return await sc.run_job(rdd, numbers, [3, 0, 3])

    assert run_inline(scenario) == [[6, 7], [0, 1], [6, 7]]


def test_run_job_over_no_partitions_gives_nothing() -> None:
    async def scenario(sc: SparkContext) -> Any:
        return (
            await sc.run_job(sc.parallelize([1]), numbers, []),
            await sc.empty_rdd().collect(),
            await sc.parallelize([], 3).collect(),
        )

    assert run_inline(scenario) == ([], [], [])


@pytest.mark.parametrize("partition", [-1, 4])
def test_a_partition_that_does_not_exist_is_named(partition: int) -> None:
    async def scenario(sc: SparkContext) -> None:
        with pytest.raises(ConfigurationError, match=f"partition {partition} does not exist.*has 4 partitions"):
            await sc.run_job(sc.parallelize(range(8), 4), numbers, [partition])

    run_inline(scenario)


def test_many_jobs_at_once_give_each_its_own_results() -> None:
    async def scenario(sc: SparkContext) -> list[int]:
        pairs = sc.parallelize(range(100), 5).map(lambda n: (n % 7, n)).reduce_by_key(lambda a, b: a + b)
        async with asyncio.TaskGroup() as tasks:
            jobs = [tasks.create_task(pairs.map(lambda kv, k=k: kv[1] * k).sum()) for k in range(16)]  # type: ignore[misc]
        return [job.result() for job in jobs]

    assert run_inline(scenario) == [4950 * k for k in range(16)]


def test_a_job_that_begins_after_the_stop_of_its_context_is_cancelled() -> None:
    async def scenario(sc: SparkContext) -> None:
        late = sc.run_job(sc.parallelize([1]), numbers)
        await sc.stop()
        with pytest.raises(JobCancelled, match="the SparkContext was stopped"):
            await asyncio.wait_for(late, 60)

    run_inline(scenario)


def test_cancelling_an_await_ends_its_job_and_leaves_the_others() -> None:
    async def scenario(sc: SparkContext) -> int:
        slow = asyncio.ensure_future(sc.parallelize(range(1000), 500).count())
        await asyncio.sleep(0)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        return await sc.parallelize(range(10), 2).count()

    assert run_inline(scenario) == 10


def test_a_group_of_jobs_is_cancelled_together() -> None:
    async def grouped(sc: SparkContext, group: str) -> int:
        sc.set_job_group(group, "nightly")
        return await sc.parallelize(range(1000), 500).count()

    async def scenario(sc: SparkContext) -> None:
        jobs = [asyncio.ensure_future(grouped(sc, group)) for group in ("a", "b", "a")]
        for _ in range(3):
            await asyncio.sleep(0)
        sc.cancel_job_group("a", "not needed")
        results = await asyncio.gather(*jobs, return_exceptions=True)
        assert [type(result) for result in results] == [JobCancelled, int, JobCancelled]
        assert str(results[0]) == "not needed"

    run_inline(scenario)


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (JobFailure("cancelled", "enough"), JobCancelled),
        (JobFailure("result too large", "too much"), ResultTooLarge),
        (JobFailure("aborted", "given up", fetch_failed(0, 0)), JobFailed),
        (JobFailure("executor lost", "gone", RunnerLost(3, 0, "")), JobFailed),
        (JobFailure("task failures", "no", exception_failure("boom"), executor_id=ExecutorId("driver")), Exception),
    ],
)
def test_each_kind_of_failure_has_its_exception(failure: JobFailure, error: type[Exception]) -> None:
    work = StageWork(BinaryTable(), lambda shuffle_id: None)
    jobs = Jobs(RecordingRef("DAGScheduler"), JobTable(), work, SystemWorld(), 1)
    made = jobs.error_of(failure)
    assert isinstance(made, error)
    assert made is not jobs.error_of(failure)


def test_a_shuffle_is_written_before_anything_reads_it_and_its_sizes_are_told() -> None:
    async def scenario(sc: SparkContext) -> Any:
        pairs = sc.parallelize([(n % 2, "x" * 100 * (n % 2)) for n in range(40)], 4).partition_by(3, int)
        first = await sc.submit_map_stage(pairs)
        again = await sc.submit_map_stage(pairs)
        return first == again, first.shuffle_id, first.bytes_by_partition

    same, shuffle_id, sizes = run_inline(scenario)
    assert same
    assert shuffle_id == 0
    assert len(sizes) == 3
    assert 0 == sizes[2] < sizes[0] < sizes[1]


@pytest.mark.scenario("HIS-006", "AdaptiveScheduling")
@pytest.mark.parametrize(
    ("reducers", "starts", "parts"),
    [
        (2, [0, 1], [[0, 2], [1]]),
        (3, [0, 2], [[0, 1], [2]]),
        (5, [0], [[0, 1, 2]]),
        (3, [0, 0, 0, 1, 1, 1, 2], [[], [], [0], [], [], [1], [2]]),
    ],
)
def test_a_job_after_a_map_stage_reads_it_in_other_partitions_and_writes_nothing_again(
    reducers: int, starts: list[int], parts: list[list[int]]
) -> None:
    async def scenario(sc: SparkContext) -> Any:
        stages = StagesSeen()
        sc.add_listener(stages)
        pairs = sc.parallelize(range(3), 3).map(lambda n: (n, n)).partition_by(reducers, int)
        await sc.submit_map_stage(pairs)
        regrouped = pairs.regroup(starts)
        found = [sorted(key for key, _ in part) for part in await regrouped.glom().collect()]
        return regrouped.get_num_partitions(), found, stages.tasks

    assert run_inline(scenario) == (len(starts), parts, [3, len(starts)])


class StagesSeen:
    """Counts the tasks of each stage that ran."""

    def __init__(self) -> None:
        self.tasks: list[int] = []

    def on_event(self, event: ListenerEvent) -> None:
        if isinstance(event, StageSubmitted):
            self.tasks.append(event.stage.num_tasks)


@pytest.mark.scenario("FAIL-001", "submitMapStage failure")
def test_the_failure_of_a_map_stage_job_is_the_users_exception() -> None:
    async def scenario(sc: SparkContext) -> int:
        pairs = sc.parallelize(range(4), 2).map(lambda n: (n, 1 // n)).partition_by(2)
        with pytest.raises(ZeroDivisionError, match="division"):
            await sc.submit_map_stage(pairs)
        return await sc.parallelize(range(4), 2).count()

    assert run_inline(scenario) == 4


def test_what_writes_no_shuffle_cannot_be_a_map_stage_job() -> None:
    async def scenario(sc: SparkContext) -> None:
        with pytest.raises(ConfigurationError, match="does not read one shuffle"):
            await sc.submit_map_stage(sc.parallelize([1]))
        with pytest.raises(ConfigurationError, match="has no partitions"):
            await sc.submit_map_stage(sc.empty_rdd().partition_by(2))
        for starts in ([], [1], [0, 2, 1], [0, 3]):
            with pytest.raises(ConfigurationError, match="ascend from 0 to 2"):
                sc.parallelize([(1, 2)]).partition_by(2).regroup(starts)

    run_inline(scenario)


@pytest.mark.scenario("DAG-021")
def test_the_exception_of_a_failed_job_shows_the_line_that_started_it_and_that_of_its_rdd() -> None:
    async def scenario(sc: SparkContext) -> None:
        rdd = sc.parallelize(range(4), 2).map(lambda n: 1 // n)
        with pytest.raises(ZeroDivisionError) as raised:
            await rdd.count()
        text = "".join(traceback.format_exception(raised.value))
        assert "await rdd.count()" in text
        assert re.search(r"stage 0.*test_jobs\.py:\d+", text, re.DOTALL)

    run_inline(scenario)


def explode(*args: object) -> Any:
    raise LookupError("only in the driver")


class Touchy:
    def __reduce__(self) -> Any:
        return explode, ()


@pytest.mark.scenario("DAG-024")
def test_what_taking_a_result_raises_in_the_driver_fails_that_job_only() -> None:
    async def scenario(sc: SparkContext) -> int:
        with pytest.raises(LookupError, match="only in the driver"):
            await sc.run_job(sc.parallelize(range(4), 2), lambda context, records: Touchy())
        with pytest.raises(LookupError, match="only in the driver"):
            await sc.parallelize(range(2), 2).reduce(explode)
        return await sc.parallelize(range(4), 2).count()

    assert run_inline(scenario) == 4


@pytest.mark.scenario("SIT-001", "super simple job")
@pytest.mark.scenario("SIT-001", "multi-stage job")
def test_jobs_of_one_and_of_several_stages_give_exact_answers() -> None:
    async def scenario(sc: SparkContext) -> Any:
        numbers = sc.parallelize(range(10), 10)
        simple = await numbers.map(lambda n: n * n).collect()
        left = numbers.map(lambda n: (n % 3, n)).reduce_by_key(int.__add__, 4)
        right = numbers.map(lambda n: (n % 5, n)).group_by_key(3).map_values(len)
        several = left.join(right, 2).map(lambda pair: (pair[1][1], pair[1][0])).reduce_by_key(int.__add__, 2)
        return simple, await several.collect()

    assert run_inline(scenario) == ([n * n for n in range(10)], [(2, 45)])


@pytest.mark.scenario("SIT-001", "job failing after 4 attempts")
def test_a_task_that_fails_four_times_fails_its_job() -> None:
    async def scenario(sc: SparkContext) -> tuple[int, list[int]]:
        attempts = AttemptsSeen()
        sc.add_listener(attempts)
        with pytest.raises(ValueError, match="always") as raised:
            await sc.run_job(sc.parallelize(range(4), 2), fail, [1])
        assert "attempt 4/4" in "".join(raised.value.__notes__)
        return await sc.parallelize(range(4), 2).count(), attempts.failed

    assert run_inline(scenario, "local[2,4]") == (4, [0, 1, 2, 3])


def fail(context: TaskContext, records: Iterator[int]) -> None:
    raise ValueError("always")


class AttemptsSeen:
    """Notes the attempts that failed."""

    def __init__(self) -> None:
        self.failed: list[int] = []

    def on_event(self, event: ListenerEvent) -> None:
        if isinstance(event, TaskEnd) and isinstance(event.reason, ExceptionFailure):
            self.failed.append(event.task.attempt_number)
