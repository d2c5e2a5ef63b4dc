import pytest

from minispark.ids import JobId
from minispark.messages.task import DirectResult
from minispark.rdd import closures
from minispark.scheduler.job_waiter import JobGivenUp, JobTable
from minispark.scheduler.logic.job import JobFailure
from minispark.storage.batches import dump_batches
from minispark.testing.virtual_loop import VirtualWorld, run_virtual


def rows(*records: object) -> DirectResult:
    return DirectResult(True, tuple(dump_batches(records)))


def value(thing: object) -> DirectResult:
    return DirectResult(False, (closures.dumps_value(thing),))


def test_values_come_in_the_order_of_their_positions() -> None:
    async def scenario() -> list[object]:
        jobs = JobTable()
        job_id, waiter = jobs.open(3)
        jobs.task_succeeded(job_id, 2, value(None))
        jobs.task_succeeded(job_id, 0, rows(1, 2, 3))
        jobs.task_succeeded(job_id, 1, rows())
        jobs.job_succeeded(job_id)
        await waiter.done
        return await waiter.decode(VirtualWorld())

    assert run_virtual(scenario()) == [[1, 2, 3], [], None]


class SlowWorld(VirtualWorld):
    """A world where a millisecond passes between any two looks at the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        self.pauses = 0

    def monotonic(self) -> float:
        self.looks += 1
        return self.looks * 0.001

    async def sleep(self, delay_s: float) -> None:
        self.pauses += 1


def test_decoding_gives_way_to_the_loop_between_batches() -> None:
    async def scenario() -> int:
        jobs, world = JobTable(), SlowWorld()
        job_id, waiter = jobs.open(10)
        for position in range(10):
            jobs.task_succeeded(job_id, position, rows(*range(5000)))
        assert [len(part) for part in await waiter.decode(world)] == [5000] * 10
        return world.pauses

    assert run_virtual(scenario()) >= 10


def test_the_first_end_of_a_job_counts() -> None:
    async def scenario() -> None:
        jobs = JobTable()
        job_id, waiter = jobs.open(0)
        jobs.job_failed(job_id, JobFailure("aborted", "no"))
        jobs.job_succeeded(job_id)
        jobs.job_failed(job_id, JobFailure("aborted", "again"))
        with pytest.raises(JobGivenUp, match="no"):
            await waiter.done

    run_virtual(scenario())


def test_a_scheduler_that_fails_ends_every_job() -> None:
    async def scenario() -> None:
        jobs = JobTable()
        waiters = [jobs.open(1)[1] for _ in range(2)]
        jobs.all_failed(JobFailure("aborted", "a bug"))
        for waiter in waiters:
            with pytest.raises(JobGivenUp, match="a bug"):
                await waiter.done

    run_virtual(scenario())


def test_what_comes_for_a_closed_job_is_dropped() -> None:
    async def scenario() -> None:
        jobs = JobTable()
        job_id, _ = jobs.open(1)
        jobs.close(job_id)
        jobs.task_succeeded(job_id, 0, value(1))
        jobs.job_succeeded(job_id)
        jobs.job_failed(JobId(99), JobFailure("aborted", "unknown"))
        assert jobs.waiters == {}

    run_virtual(scenario())
