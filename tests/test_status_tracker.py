"""What a program is told of its jobs, stages and executors while they run and afterwards."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from minispark.context import SparkContext
from minispark.errors import JobCancelled
from minispark.executor.current_task import current_task_context
from minispark.messages.storage_level import StorageLevel
from minispark.status_tracker import SparkExecutorInfo, SparkJobInfo, StatusTracker
from tests.contexts import run_inline

tracker_suite = pytest.mark.scenario("HIS-007", "StatusTracker")


async def seen(tracker: StatusTracker, action: Awaitable[Any], look: Callable[[], Any]) -> list[Any]:
    """Return what is seen at each turn of the loop while an action runs, once each, and nothing that is empty."""
    job, looks = asyncio.ensure_future(action), []
    while not job.done():
        await asyncio.sleep(0)
        if (found := look()) and found not in looks:
            looks.append(found)
    await asyncio.wait([job])
    return looks


def fails_once(index: int, records: Iterator[int]) -> Iterator[int]:
    context = current_task_context()
    assert context is not None
    if index == 1 and context.attempt_number == 0:
        raise ValueError("once")
    return records


@tracker_suite
def test_a_job_and_its_first_stage_are_followed_from_the_start_to_the_end() -> None:
    async def scenario(sc: SparkContext) -> Any:
        tracker = sc.status_tracker()
        groups = sc.parallelize(range(100), 2).map(lambda n: (n, n)).group_by_key()
        jobs = await seen(tracker, groups.collect(), lambda: tracker.get_job_info(0))
        return jobs, tracker.get_job_info(0), tracker.get_stage_info(0), tracker.get_stage_info(1)

    jobs, after, first, last = run_inline(scenario)
    assert jobs[0] == SparkJobInfo(0, (0, 1), "running")
    assert after == SparkJobInfo(0, (0, 1), "succeeded")
    assert first[:2] == (0, 0)
    assert "map at" in first.name
    assert first[3:] == last[3:] == (2, 0, 2, 0)


@tracker_suite
def test_the_stages_of_a_job_are_active_one_after_the_other() -> None:
    async def scenario(sc: SparkContext) -> Any:
        tracker = sc.status_tracker()
        action = sc.parallelize(range(10), 2).map(lambda n: (n, n)).reduce_by_key(max).count()
        looks = await seen(
            tracker,
            action,
            lambda: tracker.get_active_job_ids() and tracker.get_active_stage_ids(),
        )
        return looks, tracker.get_active_job_ids(), tracker.get_active_stage_ids()

    assert run_inline(scenario) == ([[0], [1]], [], [])


@tracker_suite
def test_running_and_failed_attempts_are_counted() -> None:
    async def scenario(sc: SparkContext) -> Any:
        tracker = sc.status_tracker()
        action = sc.parallelize(range(6), 3).map_partitions_with_index(fails_once).count()
        return await seen(tracker, action, lambda: tracker.get_stage_info(0)), tracker.get_stage_info(0)

    looks, after = run_inline(scenario, "local[2,2]")
    assert max(look.num_active_tasks for look in looks) == 2
    assert after[3:] == (3, 0, 3, 1)


@tracker_suite
def test_jobs_are_found_by_their_group_while_they_run_and_afterwards() -> None:
    async def scenario(sc: SparkContext) -> Any:
        tracker = sc.status_tracker()
        assert await sc.parallelize(range(1000)).count() == 1000
        sc.set_job_group("my-job-group", "description")
        before = tracker.get_job_ids_for_group("my-job-group")
        rdd = sc.parallelize(range(1000))
        while_it_ran = await seen(tracker, rdd.count(), lambda: tracker.get_job_ids_for_group("my-job-group"))
        await rdd.count()
        return before, while_it_ran, tracker.get_job_ids_for_group("my-job-group"), tracker.get_job_ids_for_group()

    assert run_inline(scenario) == ([], [[1]], [1, 2], [0])


@tracker_suite
@pytest.mark.parametrize(("slices", "num", "jobs"), [(1, 1, 1), (2, 999, 2)])
def test_a_take_has_as_many_jobs_as_it_needs(slices: int, num: int, jobs: int) -> None:
    async def scenario(sc: SparkContext) -> Any:
        sc.set_job_group("my-job-group2")
        assert sc.status_tracker().get_job_ids_for_group("my-job-group2") == []
        assert len(await sc.parallelize(range(1000), slices).take(num)) == num
        return sc.status_tracker().get_job_ids_for_group("my-job-group2")

    assert run_inline(scenario) == list(range(jobs))


def test_jobs_are_found_by_any_of_their_tags() -> None:
    async def scenario(sc: SparkContext) -> Any:
        tracker = sc.status_tracker()
        for tag in ("a", "b"):
            sc.add_job_tag(tag)
            await sc.parallelize(range(4), 2).count()
        return [tracker.get_job_ids_for_tag(tag) for tag in ("a", "b", "c", "")]

    assert run_inline(scenario) == [[0, 1], [1], [], []]


def test_how_jobs_ended_that_gave_no_result_is_told() -> None:
    async def scenario(sc: SparkContext) -> Any:
        tracker, rdd = sc.status_tracker(), sc.parallelize(range(4), 2)
        with pytest.raises(ZeroDivisionError):
            await rdd.map(lambda n: 1 // n).count()
        cancelled = asyncio.ensure_future(rdd.count())
        await asyncio.sleep(0)
        sc.cancel_all_jobs()
        with pytest.raises(JobCancelled):
            await cancelled
        return [tracker.get_job_info(number) for number in range(3)]

    assert run_inline(scenario) == [SparkJobInfo(0, (0,), "failed"), SparkJobInfo(1, (1,), "cancelled"), None]


def test_a_job_that_went_straight_to_a_runner_is_known_without_stages() -> None:
    async def scenario(sc: SparkContext) -> Any:
        tracker = sc.status_tracker()
        looks = await seen(tracker, sc.parallelize(range(4), 2).first(), lambda: tracker.get_job_info(0))
        return looks, tracker.get_job_info(0), tracker.get_stage_info(0)

    looks, after, stage = run_inline(scenario)
    assert looks[0] == SparkJobInfo(0, (), "running")
    assert (after, stage) == (SparkJobInfo(0, (), "succeeded"), None)


def test_executors_are_told_with_what_they_run_and_keep() -> None:
    async def scenario(sc: SparkContext) -> Any:
        tracker = sc.status_tracker()
        kept = sc.parallelize(range(1000), 2).persist(StorageLevel.DISK_ONLY)
        looks = await seen(tracker, kept.count(), lambda: tracker.get_executor_infos())
        return looks, tracker.get_executor_infos(), sc.storage_status()[0].disk_bytes

    looks, (after,), disk_bytes = run_inline(scenario)
    assert max(look[0].num_running_tasks for look in looks) == 2
    assert after == SparkExecutorInfo("driver", after.host, 0, 0, 0, disk_bytes)
    assert disk_bytes > 0
