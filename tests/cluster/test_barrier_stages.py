"""Barrier stages with real runner processes: tasks start together, wait for each other, and fail together."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minispark import BarrierError, BarrierTaskContext, SparkContext
from minispark.messages.listener import ListenerEvent, TaskEnd
from tests.cluster.test_job_failures import with_context

pytestmark = pytest.mark.cluster


def until_exists(path: Path) -> None:
    """Wait in a task for what another task does."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.005)


@pytest.mark.scenario("BAR-001", "barrier() is a global sync")
@pytest.mark.scenario("BAR-001", "several barrier() calls in one task")
@pytest.mark.scenario("CTX-007", "barrier execution local / local-cluster")
@pytest.mark.parametrize(
    ("master", "pool"), [("local[4]", "process"), ("local[4]", "thread"), ("local-cluster[2,2,512]", "process")]
)
def test_no_task_goes_on_before_all_have_come_each_time(master: str, pool: str) -> None:
    def wait_twice(records: Iterator[int]) -> Iterator[tuple[float, float]]:
        context = BarrierTaskContext.get()
        for _ in range(2):
            time.sleep(0.02 * context.partition_id)
            before = time.monotonic()
            context.barrier()
            yield before, time.monotonic()

    async def scenario(sc: SparkContext) -> None:
        spans = await sc.parallelize(range(4), 4).barrier().map_partitions(wait_twice).collect()
        for sync in (spans[0::2], spans[1::2]):
            assert len(sync) == 4
            assert max(before for before, _ in sync) <= min(after for _, after in sync)

    with_context(scenario, master, executor_pool=pool)


@pytest.mark.scenario("BAR-002", "allGather returns all messages in partition order")
@pytest.mark.scenario("BAR-002", "40932: result not overwritten by the next barrier call (copy!)")
@pytest.mark.scenario("BAR-004")
def test_all_messages_come_in_the_order_of_partitions_and_stay() -> None:
    def gather(index: int, records: Iterator[int]) -> Iterator[tuple[list[str], list[str]]]:
        context = BarrierTaskContext.get()
        time.sleep(0.02 * (3 - index))
        first = context.all_gather(f"first of {index}")
        context.barrier()
        second = context.all_gather(f"second of {index}")
        assert len(context.get_task_infos()) == 4
        yield first, second

    async def scenario(sc: SparkContext) -> None:
        gathered = await sc.parallelize(range(4), 4).barrier().map_partitions_with_index(gather).collect()
        assert gathered == [([f"first of {i}" for i in range(4)], [f"second of {i}" for i in range(4)])] * 4

    with_context(scenario, "local[4]")


@pytest.mark.scenario("BAR-001", "barrier() is a global sync")
def test_a_barrier_stage_may_write_a_shuffle_and_be_followed_by_others() -> None:
    def pairs(records: Iterator[int]) -> Iterator[tuple[str, int]]:
        number = len(BarrierTaskContext.get().all_gather())
        return ((f"{record % 2} of {number}", record) for record in records)

    async def scenario(sc: SparkContext) -> None:
        rdd = sc.parallelize(range(10), 3).barrier().map_partitions(pairs).reduce_by_key(lambda a, b: a + b)
        assert sorted(await rdd.collect()) == [("0 of 3", 20), ("1 of 3", 25)]

    with_context(scenario, "local[3]")


@pytest.mark.scenario("BAR-003")
def test_tasks_that_call_different_things_all_fail_with_an_error_that_says_so(tmp_path: Path) -> None:
    def mix(records: Iterator[int]) -> Any:
        context = BarrierTaskContext.get()
        try:
            context.all_gather("x") if context.partition_id == 0 else context.barrier()
            return []
        except BarrierError as error:
            (tmp_path / str(context.partition_id)).write_text(str(error))
            until_exists(tmp_path / str(1 - context.partition_id))
            raise

    async def scenario(sc: SparkContext) -> None:
        with pytest.raises(BarrierError, match="in one sync; all must call the same"):
            await sc.parallelize(range(2), 2).barrier().map_partitions(mix).collect()
        errors = [path.read_text() for path in tmp_path.iterdir()]
        assert len(errors) == 2
        assert all("all must call the same" in error for error in errors)

    with_context(scenario, stage_maxConsecutiveAttempts=1)


@pytest.mark.scenario("BAR-005", "barrier timeout → error")
@pytest.mark.scenario("BAR-005", "a task that never calls")
def test_a_task_that_never_comes_fails_those_who_wait_when_their_time_is_up(tmp_path: Path) -> None:
    def never(records: Iterator[int]) -> list[int]:
        context = BarrierTaskContext.get()
        if context.partition_id == 0:
            until_exists(tmp_path / "never")
        context.barrier()
        return []

    async def scenario(sc: SparkContext) -> None:
        with pytest.raises(BarrierError, match=r"^sync 0 of .* 1 of 2 tasks did not come, as that of partition 0"):
            await sc.parallelize(range(2), 2).barrier().map_partitions(never).collect()

    with_context(scenario, barrier_sync_timeout=0.2, stage_maxConsecutiveAttempts=1)


@pytest.mark.scenario("BAR-005", "unequal number of calls → error")
def test_a_task_that_calls_once_more_than_the_others_fails_without_waiting_for_its_time() -> None:
    def unequal(records: Iterator[int]) -> list[int]:
        context = BarrierTaskContext.get()
        for _ in range(1 + context.partition_id):
            context.barrier()
        return []

    async def scenario(sc: SparkContext) -> None:
        with pytest.raises(BarrierError, match="unequal numbers of times"):
            await sc.parallelize(range(2), 2).barrier().map_partitions(unequal).collect()

    with_context(scenario, stage_maxConsecutiveAttempts=1)


class Ends:
    """Notes how tasks ended, by partition."""

    def __init__(self, num_tasks: int) -> None:
        self.left = num_tasks
        self.reasons: dict[int, str] = {}
        self.all_ended = asyncio.Event()

    def on_event(self, event: ListenerEvent) -> None:
        if isinstance(event, TaskEnd):
            self.reasons[event.task.partition] = type(event.reason).__name__
            if len(self.reasons) == self.left:
                self.all_ended.set()


@pytest.mark.parametrize("pool", ["process", "thread"])
def test_the_fellows_of_a_task_that_fails_are_killed_and_see_no_error(pool: str, tmp_path: Path) -> None:
    def fail(records: Iterator[int]) -> Any:
        context = BarrierTaskContext.get()
        if context.partition_id == 0:
            for partition in range(1, 4):
                until_exists(tmp_path / f"waits {partition}")
            raise ZeroDivisionError("mine")
        (tmp_path / f"waits {context.partition_id}").touch()
        try:
            context.barrier()
        except Exception:
            (tmp_path / "error").touch()
            raise

    async def scenario(sc: SparkContext) -> None:
        ends = Ends(4)
        sc.add_listener(ends)
        with pytest.raises(ZeroDivisionError, match="mine"):
            await sc.parallelize(range(4), 4).barrier().map_partitions(fail).collect()
        await asyncio.wait_for(ends.all_ended.wait(), 60)
        assert ends.reasons == {0: "ExceptionFailure", 1: "TaskKilled", 2: "TaskKilled", 3: "TaskKilled"}
        assert not (tmp_path / "error").exists()

    with_context(scenario, "local[4]", executor_pool=pool)


def test_what_a_task_raises_reaches_the_caller_and_its_fellows_wait_no_longer() -> None:
    def fail(records: Iterator[int]) -> Any:
        context = BarrierTaskContext.get()
        if context.partition_id == 1:
            raise ZeroDivisionError("mine")
        context.barrier()

    async def scenario(sc: SparkContext) -> None:
        with pytest.raises(ZeroDivisionError, match="mine"):
            await sc.parallelize(range(2), 2).barrier().map_partitions(fail).collect()

    with_context(scenario)


@pytest.mark.scenario("BAR-006")
@pytest.mark.parametrize("interrupt", [True, False])
def test_a_cancel_ends_tasks_that_wait_for_others_whether_or_not_it_interrupts(
    interrupt: bool, tmp_path: Path
) -> None:
    def wait(records: Iterator[int]) -> list[int]:
        context = BarrierTaskContext.get()
        (tmp_path / str(context.partition_id)).touch()
        if context.partition_id == 0:
            while not context.is_interrupted():
                time.sleep(0.005)
            return []
        context.barrier()
        return []

    async def scenario(sc: SparkContext) -> None:
        job = asyncio.create_task(sc.parallelize(range(3), 3).barrier().map_partitions(wait).collect())
        for number in range(3):
            await asyncio.to_thread(until_exists, tmp_path / str(number))
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job

    # The job that `with_context` runs afterwards needs the runners of all three.
    with_context(scenario, "local[3]", job_interruptOnCancel=interrupt, executor_killGrace=60)
