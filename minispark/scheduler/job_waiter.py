"""The caller's side of a job: results gathered as bytes, decoded in slices, failures turned into exceptions.

`run_job` of the context makes a `JobWaiter`, the DAGScheduler feeds it. Decoding is done by the caller's own task and
gives way to the loop every millisecond, because the loop may be a web service's.
"""

import asyncio
from typing import Any, Literal

from minispark.ids import JobId
from minispark.messages.task import DirectResult
from minispark.rdd import closures
from minispark.rpc.world import World
from minispark.scheduler.logic.job import JobFailure
from minispark.storage.batches import load_batch

__all__ = ["JobGivenUp", "JobTable", "JobWaiter"]

SLICE_S = 0.001
"""How long decoding holds the loop."""


class JobGivenUp(Exception):
    """The job ended without its results."""

    def __init__(self, failure: JobFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class JobWaiter:
    """One job's results, as they come.

    Args:
        num_results: how many there will be.
    """

    def __init__(self, num_results: int) -> None:
        self.results: list[DirectResult | None] = [None] * num_results
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def decode(self, world: World) -> list[Any]:
        """Return the values, in order; each result's bytes are let go as soon as they are decoded."""
        values = []
        pause_at = world.monotonic() + SLICE_S
        for position, result in enumerate(self.results):
            assert result is not None
            self.results[position] = None
            if result.rows:
                rows: list[Any] = []
                for batch in result.batches:
                    rows += load_batch(batch)
                    if world.monotonic() > pause_at:
                        await world.sleep(0)
                        pause_at = world.monotonic() + SLICE_S
                values.append(rows)
            else:
                values.append(closures.loads_value(result.batches[0]))
                if world.monotonic() > pause_at:
                    await world.sleep(0)
                    pause_at = world.monotonic() + SLICE_S
        return values


class JobTable:
    """The jobs that somebody waits for; the DAGScheduler's `JobListener`.

    Attributes:
        stopped: why no job can run any more; None as long as jobs can.
    """

    def __init__(self) -> None:
        self.waiters: dict[JobId, JobWaiter] = {}
        self.next_id = 0
        self.stopped: JobFailure | None = None

    def open(self, num_results: int) -> tuple[JobId, JobWaiter]:
        """Make the waiter of a new job, which has failed already if no job can run any more."""
        job_id = JobId(self.next_id)
        self.next_id += 1
        waiter = self.waiters[job_id] = JobWaiter(num_results)
        if self.stopped is not None:
            self.job_failed(job_id, self.stopped)
        return job_id, waiter

    def close(self, job_id: JobId) -> None:
        """Forget a job, ended or not; what still comes for it is dropped."""
        self.waiters.pop(job_id, None)

    def task_succeeded(self, job_id: JobId, position: int, result: DirectResult) -> None:
        """Take one partition's result."""
        waiter = self.waiters.get(job_id)
        if waiter is not None:
            waiter.results[position] = result

    def job_succeeded(self, job_id: JobId) -> None:
        """All results are there."""
        waiter = self.waiters.get(job_id)
        if waiter is not None and not waiter.done.done():
            waiter.done.set_result(None)

    def job_failed(self, job_id: JobId, failure: JobFailure) -> None:
        """There is nothing more to come."""
        waiter = self.waiters.get(job_id)
        if waiter is not None and not waiter.done.done():
            waiter.done.set_exception(JobGivenUp(failure))

    def stop(self, reason: str, kind: Literal["cancelled", "aborted"] = "cancelled") -> None:
        """End all jobs, and those to come: nobody would end a job that is submitted during a stop or later."""
        if self.stopped is None:
            self.stopped = JobFailure(kind, reason)
        self.all_failed(self.stopped)

    def all_failed(self, failure: JobFailure) -> None:
        """Nothing more is to come for any job."""
        for job_id in list(self.waiters):
            self.job_failed(job_id, failure)
