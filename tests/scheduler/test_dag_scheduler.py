import logging

import pytest

from minispark.conf import SparkConf
from minispark.ids import ExecutorId, JobId, ShuffleId, StageId, TaskId
from minispark.messages.listener import ListenerEvent, TaskEnd, TaskStart
from minispark.messages.scheduler import (
    AllJobsCancelled,
    BarrierJobDue,
    ExecutorAdded,
    JobCancelled,
    JobGroupCancelled,
    KillTaskSet,
    ResubmitFailedStages,
    SubmitTaskSet,
    TaskStarted,
    ToDagScheduler,
)
from minispark.messages.task import DirectResult
from minispark.scheduler.dag_scheduler import DAGScheduler
from minispark.scheduler.listener_bus import ListenerBus
from minispark.scheduler.logic.effects import RemoveMapOutput, RemoveShuffleFiles
from minispark.scheduler.logic.job import JobFailure
from minispark.shuffle.logic.map_outputs import MapOutputs
from minispark.testing.builders import (
    LineageBuilder,
    fetch_failed,
    map_success,
    result_success,
    submit_job,
    task_ended,
)
from minispark.testing.fakes import RecordingContext, RecordingRef
from minispark.testing.virtual_loop import VirtualWorld, run_virtual, settle


class Jobs:
    """Records what the owner of jobs is told."""

    def __init__(self) -> None:
        self.results: list[tuple[int, int, bytes]] = []
        self.succeeded: list[int] = []
        self.failed: list[tuple[int, str]] = []
        self.all: list[str] = []

    def task_succeeded(self, job_id: JobId, position: int, result: DirectResult) -> None:
        self.results.append((job_id, position, bytes(result.batches[0])))

    def job_succeeded(self, job_id: JobId) -> None:
        self.succeeded.append(job_id)

    def job_failed(self, job_id: JobId, failure: JobFailure) -> None:
        self.failed.append((job_id, failure.message))

    def all_failed(self, failure: JobFailure) -> None:
        self.all.append(failure.message)


class Harness:
    """A DAGScheduler with recording neighbours; make it inside of a running loop."""

    def __init__(self) -> None:
        self.jobs, self.events = Jobs(), ListenerBus(VirtualWorld())
        self.own, self.task_scheduler = RecordingRef("DAGScheduler"), RecordingRef("TaskScheduler")
        self.removed: list[RemoveShuffleFiles | RemoveMapOutput] = []
        self.dag = DAGScheduler(SparkConf(), VirtualWorld(), MapOutputs(), self.jobs, self.events, self.remove)
        self.dag._ref = self.own
        self.dag.attach(self.task_scheduler)

    def remove(self, what: RemoveShuffleFiles | RemoveMapOutput) -> None:
        self.removed.append(what)

    def tell(self, message: ToDagScheduler) -> None:
        self.dag.receive(message, RecordingContext(is_ask=False))
        self.dag.state.check()

    @property
    def last(self) -> SubmitTaskSet:
        return self.task_scheduler.of(SubmitTaskSet)[-1]


def one_stage(partitions: int = 2) -> LineageBuilder:
    build = LineageBuilder()
    build.source(partitions)
    return build


def test_a_job_goes_to_the_task_scheduler_and_its_results_to_its_owner() -> None:
    async def scenario() -> None:
        harness = Harness()
        harness.tell(submit_job(1, one_stage().lineage()))
        for index in (1, 0):
            harness.tell(task_ended(harness.last, index, result_success(b"%d" % index)))
        assert harness.jobs.results == [(1, 1, b"1"), (1, 0, b"0")]
        assert harness.jobs.succeeded == [1]

    run_virtual(scenario())


@pytest.mark.parametrize(
    "cancel",
    [JobCancelled(JobId(1), "enough"), JobGroupCancelled("nightly", "enough"), AllJobsCancelled("enough")],
)
def test_a_cancel_kills_the_tasks_and_tells_the_owner(cancel: ToDagScheduler) -> None:
    async def scenario() -> None:
        harness = Harness()
        properties = {"minispark.jobGroup.id": "nightly"}
        harness.tell(submit_job(1, one_stage().lineage(), properties=properties))
        harness.tell(cancel)
        assert harness.task_scheduler.of(KillTaskSet) == [KillTaskSet(StageId(0), True, "enough")]
        assert harness.jobs.failed == [(1, "enough")]
        harness.dag.state.assert_empty()

    run_virtual(scenario())


def test_a_barrier_job_without_slots_is_looked_at_again_after_the_interval() -> None:
    async def scenario() -> None:
        harness = Harness()
        harness.dag.attach(harness.task_scheduler, lambda: 1)
        build = one_stage()
        build.declare(0, is_barrier=True)
        harness.tell(submit_job(1, build.lineage()))
        await VirtualWorld().sleep(15)
        await settle()
        assert harness.own.sent == [BarrierJobDue(JobId(1))]
        harness.dag.attach(harness.task_scheduler, lambda: 2)
        harness.tell(BarrierJobDue(JobId(1)))
        assert harness.last.is_barrier
        harness.tell(AllJobsCancelled("enough"))

    run_virtual(scenario())


def test_failed_stages_are_resubmitted_after_a_moment() -> None:
    async def scenario() -> None:
        harness = Harness()
        build = LineageBuilder()
        build.shuffled(build.source(1), 1)
        harness.tell(submit_job(1, build.lineage()))
        harness.tell(task_ended(harness.last, 0, map_success(0)))
        harness.tell(task_ended(harness.last, 0, fetch_failed(0, 0)))
        assert harness.own.sent == []
        await VirtualWorld().sleep(0.2)
        await settle()
        assert harness.own.sent == [ResubmitFailedStages()]
        harness.tell(ResubmitFailedStages())
        assert harness.last.is_map_stage
        harness.tell(AllJobsCancelled("enough"))

    run_virtual(scenario())


def test_an_error_of_the_scheduler_itself_gives_all_jobs_up(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        harness = Harness()
        harness.tell(submit_job(1, one_stage().lineage()))
        with caplog.at_level(logging.ERROR):
            harness.dag.on_error(RuntimeError("a bug"))
        assert harness.jobs.failed == [(1, "the DAG scheduler failed: RuntimeError: a bug")]
        assert harness.jobs.all == ["the DAG scheduler failed: RuntimeError: a bug"]
        harness.dag.state.assert_empty()

    run_virtual(scenario())
    assert "all jobs are given up" in caplog.text


def test_listeners_hear_of_tasks_only_if_there_are_any() -> None:
    async def scenario() -> None:
        harness, seen = Harness(), list[ListenerEvent]()
        harness.tell(submit_job(1, one_stage().lineage()))
        harness.tell(task_ended(harness.last, 0, result_success()))

        class Recorder:
            def on_event(self, event: ListenerEvent) -> None:
                seen.append(event)

        harness.events.add(Recorder())
        executor = ExecutorId("driver")
        harness.tell(TaskStarted(harness.last.stage_id, 0, TaskId(1), 1, 0, 1, executor, "localhost"))
        harness.tell(task_ended(harness.last, 1, result_success(), task_id=1))
        await settle()
        assert [type(event) for event in seen][:2] == [TaskStart, TaskEnd]
        end = seen[1]
        assert isinstance(end, TaskEnd)
        assert (end.task.task_id, end.task.index, end.task.executor_id) == (1, 1, "driver")

    run_virtual(scenario())


def test_the_files_of_a_forgotten_shuffle_go_once_no_job_reads_it() -> None:
    async def scenario() -> None:
        harness = Harness()
        build = LineageBuilder()
        build.shuffled(build.source(1), 1)
        harness.tell(submit_job(1, build.lineage()))
        harness.tell(task_ended(harness.last, 0, map_success(0)))
        harness.dag.state.forget_shuffle(ShuffleId(0))
        assert harness.removed == []
        harness.tell(task_ended(harness.last, 0, result_success()))
        (removed,) = harness.removed
        assert isinstance(removed, RemoveShuffleFiles)
        assert removed.shuffle_id == 0
        harness.dag.state.assert_empty()

    run_virtual(scenario())


def test_a_barrier_job_begins_when_the_executor_that_it_waits_for_has_come() -> None:
    async def scenario() -> None:
        harness, slots = Harness(), 0
        harness.dag.slots = lambda: slots
        build = LineageBuilder()
        build.declare(build.narrow(build.source(2)), is_barrier=True)
        harness.tell(submit_job(1, build.lineage()))
        assert not harness.task_scheduler.of(SubmitTaskSet)
        slots = 2
        harness.tell(ExecutorAdded(ExecutorId("7"), "a", 2))
        assert len(harness.task_scheduler.of(SubmitTaskSet)) == 1

    run_virtual(scenario())
