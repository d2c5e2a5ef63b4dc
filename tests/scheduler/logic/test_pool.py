import pytest

from minispark.scheduler.logic.pool import Pool
from minispark.scheduler.logic.task_set import TaskSet
from minispark.testing.builders import task_set


def make(job_id: int, stage_id: int) -> TaskSet:
    return TaskSet(task_set([0], job_id=job_id, stage_id=stage_id), max_failures=1, max_result_bytes=0)


@pytest.mark.scenario("POOL-001")
def test_the_older_job_goes_first_then_the_earlier_stage() -> None:
    pool = Pool()
    for job_id, stage_id in ((2, 5), (1, 7), (2, 3), (1, 6)):
        pool.add(make(job_id, stage_id))
    assert [(tasks.job_id, tasks.stage_id) for tasks in pool.sorted()] == [(1, 6), (1, 7), (2, 3), (2, 5)]


def test_a_removed_task_set_is_not_served() -> None:
    pool = Pool()
    first, second = make(1, 1), make(2, 2)
    pool.add(first)
    pool.add(second)
    pool.remove(first)
    assert pool.sorted() == [second]
