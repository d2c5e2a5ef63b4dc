"""What listeners see of whole jobs."""

import asyncio
from typing import TypeVar

import pytest

from minispark.context import SparkContext
from minispark.messages.listener import (
    ApplicationEnd,
    JobEnd,
    JobStart,
    ListenerEvent,
    StageCompleted,
    StageInfo,
    StageSubmitted,
    TaskEnd,
    TaskGettingResult,
    TaskStart,
)
from minispark.messages.task import Success
from minispark.testing.virtual_loop import settle
from tests.contexts import run_inline

Event = TypeVar("Event", bound=ListenerEvent)


class Recorder:
    def __init__(self) -> None:
        self.seen: list[ListenerEvent] = []
        self.task_started = asyncio.Event()

    def on_event(self, event: ListenerEvent) -> None:
        self.seen.append(event)
        if isinstance(event, TaskStart):
            self.task_started.set()

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.seen if isinstance(event, kind)]

    @property
    def stages(self) -> list[StageInfo]:
        return [event.stage for event in self.of(StageCompleted)]


class Stopper:
    """Stops the context when a job has ended, which is not its business."""

    def __init__(self, context: SparkContext) -> None:
        self.context = context

    async def on_event(self, event: ListenerEvent) -> None:
        if isinstance(event, JobEnd):
            await self.context.stop()


class Leaver(Recorder):
    """Lets itself go when the application ends."""

    def __init__(self, context: SparkContext) -> None:
        super().__init__()
        self.context = context

    def on_event(self, event: ListenerEvent) -> None:
        super().on_event(event)
        if isinstance(event, ApplicationEnd):
            self.context.remove_listener(self)


def test_a_listener_may_let_itself_go_at_the_end_of_the_application(caplog: pytest.LogCaptureFixture) -> None:
    leavers: list[Leaver] = []

    async def scenario(sc: SparkContext) -> None:
        leavers.append(Leaver(sc))
        sc.add_listener(leavers[0])
        await sc.parallelize(range(9), 1).count()

    run_inline(scenario)
    assert leavers[0].of(ApplicationEnd)
    assert caplog.text == ""


@pytest.mark.scenario("HIS-006", "SparkListener")
def test_events_of_a_job_come_in_the_order_of_its_life() -> None:
    recorder = Recorder()

    async def scenario(sc: SparkContext) -> None:
        sc.add_listener(recorder)
        await sc.parallelize(range(9), 1).count()

    run_inline(scenario)

    kinds = [type(event) for event in recorder.seen if type(event).__name__ != "ApplicationEnd"]
    assert kinds == [JobStart, StageSubmitted, TaskStart, TaskEnd, StageCompleted, JobEnd]


@pytest.mark.scenario("ACC-004", "internal accumulators in task, stage, several stages, resubmitted stages")
@pytest.mark.scenario("ACC-004", "registered for cleanup")
@pytest.mark.scenario("HIS-006", "SparkListener")
def test_a_stage_is_described_with_its_tasks_times_and_sums() -> None:
    recorder = Recorder()

    async def scenario(sc: SparkContext) -> None:
        sc.add_listener(recorder)
        await sc.parallelize(range(100), 4).map(str).count()
        assert not sc.driver.accumulators.known  # metrics are none, so that nothing has to be let go of

    run_inline(scenario)

    (stage,) = recorder.stages
    assert (stage.num_tasks, stage.attempt, stage.failure, stage.is_map_stage) == (4, 0, "", False)
    assert 0 < stage.submitted_s <= stage.completed_s
    ends = [event.reason for event in recorder.of(TaskEnd)]
    assert [reason.metrics.result_size_bytes > 0 for reason in ends if isinstance(reason, Success)] == [True] * 4
    sizes = sum(reason.metrics.result_size_bytes for reason in ends if isinstance(reason, Success))
    assert stage.metrics.result_size_bytes == sizes


@pytest.mark.scenario("ACC-004", "internal accumulators in task, stage, several stages, resubmitted stages")
@pytest.mark.scenario("HIS-006", "SparkListener")
def test_a_shuffle_has_a_map_stage_and_a_result_stage_that_says_so() -> None:
    recorder = Recorder()

    async def scenario(sc: SparkContext) -> None:
        sc.add_listener(recorder)
        await sc.parallelize(range(100), 4).map(lambda number: (number % 3, 1)).reduce_by_key(max, 2).count()

    run_inline(scenario)

    maps, results = recorder.stages
    assert (maps.is_map_stage, maps.num_tasks, maps.parent_ids) == (True, 4, ())
    assert (results.is_map_stage, results.num_tasks, results.parent_ids) == (False, 2, (maps.stage_id,))
    assert maps.metrics.shuffle_write_records == results.metrics.shuffle_read_records > 0


@pytest.mark.scenario("HIS-006", "SparkListener")
def test_a_stage_over_some_partitions_has_as_many_tasks() -> None:
    recorder = Recorder()

    async def scenario(sc: SparkContext) -> list[int]:
        sc.add_listener(recorder)
        return await sc.run_job(sc.parallelize(range(100), 4), lambda _, records: sum(1 for _ in records), [0, 1])

    assert run_inline(scenario) == [25, 25]
    assert [stage.num_tasks for stage in recorder.stages] == [2]


@pytest.mark.scenario("HIS-006", "SparkListener")
@pytest.mark.parametrize(("limit", "fetched"), [("1k", 1), ("1m", 0)])
def test_a_result_above_the_limit_is_told_to_be_fetched(limit: str, fetched: int) -> None:
    recorder = Recorder()

    async def scenario(sc: SparkContext) -> list[bytes]:
        sc.add_listener(recorder)
        return await sc.parallelize([b"x" * 5000], 1).collect()

    assert run_inline(scenario, task_maxDirectResultSize=limit) == [b"x" * 5000]
    assert len(recorder.of(TaskGettingResult)) == fetched
    assert len(recorder.of(TaskEnd)) == 1


@pytest.mark.scenario("DAG-029")
@pytest.mark.scenario("HIS-006", "SparkListener")
def test_every_task_that_started_has_an_end_although_the_job_was_cancelled() -> None:
    recorder = Recorder()

    async def scenario(sc: SparkContext) -> None:
        sc.add_listener(recorder)
        job = sc.spawn(sc.parallelize(range(10), 10).count(), name="cancelled")
        await recorder.task_started.wait()
        job.cancel()
        await sc.world.sleep(1)

    run_inline(scenario)

    started = [event.task.task_id for event in recorder.of(TaskStart)]
    assert started
    assert sorted(event.task.task_id for event in recorder.of(TaskEnd)) == sorted(started)


@pytest.mark.scenario("HIS-006", "SparkListener")
def test_a_listener_that_stops_the_context_does_not_hang_it() -> None:
    async def scenario(sc: SparkContext) -> int:
        sc.add_listener(Stopper(sc))
        count = await sc.parallelize(range(10), 2).count()
        await sc.world.sleep(1)
        assert sc.is_stopped
        return count

    assert run_inline(scenario) == 10


@pytest.mark.scenario("CTX-005", "listener register/remove")
def test_a_listener_hears_from_when_it_is_added_until_it_is_removed() -> None:
    stays, leaves = Recorder(), Recorder()

    async def scenario(sc: SparkContext) -> None:
        await sc.parallelize(range(9), 1).count()
        sc.add_listener(stays)
        sc.add_listener(leaves)
        await sc.parallelize(range(9), 1).count()
        await settle()
        sc.remove_listener(leaves)
        sc.remove_listener(leaves)
        await sc.parallelize(range(9), 1).count()

    run_inline(scenario)
    assert (len(stays.of(JobStart)), len(leaves.of(JobStart))) == (2, 1)
