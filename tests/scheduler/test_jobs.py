import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from minispark.context import SparkContext
from minispark.errors import ConfigurationError, JobCancelled, JobFailed, ResultTooLarge
from minispark.ids import ExecutorId
from minispark.messages.task import RunnerLost
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
