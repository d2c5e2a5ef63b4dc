"""What the DAGScheduler tells listeners of attempts and executors."""

import pytest

from minispark.ids import ExecutorId, JobId
from minispark.messages.listener import ExecutorJoined, ExecutorLeft, JobStart, ListenerEvent, StageSubmitted, TaskEnd
from minispark.messages.scheduler import ExecutorAdded, ExecutorRemoved, JobCancelled, SubmitTaskSet
from minispark.messages.task import Success, TaskKilled
from minispark.testing.builders import map_success, result_success, submit_job, task_ended
from minispark.testing.virtual_loop import run_virtual, settle
from tests.scheduler.test_dag_scheduler import Harness, one_stage


class Recorder:
    def __init__(self) -> None:
        self.seen: list[ListenerEvent] = []

    def on_event(self, event: ListenerEvent) -> None:
        self.seen.append(event)

    @property
    def ends(self) -> list[tuple[int, type[object]]]:
        return [(each.task.index, type(each.reason)) for each in self.seen if isinstance(each, TaskEnd)]


def listening() -> tuple[Harness, Recorder]:
    harness, recorder = Harness(), Recorder()
    harness.events.add(recorder)
    return harness, recorder


@pytest.mark.scenario("DAG-029")
def test_the_end_of_a_copy_is_told_although_the_partition_was_done() -> None:
    async def scenario() -> None:
        harness, recorder = listening()
        harness.tell(submit_job(1, one_stage(2).lineage()))
        tasks = harness.last
        harness.tell(task_ended(tasks, 0, result_success(b"0")))
        harness.tell(task_ended(tasks, 0, TaskKilled("another attempt succeeded"), task_id=1))
        harness.tell(task_ended(tasks, 0, result_success(b"again"), task_id=2))
        await settle()
        assert recorder.ends == [(0, Success), (0, TaskKilled), (0, Success)]

    run_virtual(scenario())


@pytest.mark.scenario("DAG-029")
@pytest.mark.scenario("HIS-006", "SparkListener")
def test_the_ends_of_tasks_are_told_after_their_stage_was_killed_and_forgotten() -> None:
    async def scenario() -> None:
        harness, recorder = listening()
        harness.tell(submit_job(1, one_stage(3).lineage()))
        tasks: SubmitTaskSet = harness.last
        harness.tell(JobCancelled(JobId(1), "enough"))
        harness.dag.state.assert_empty()
        harness.tell(task_ended(tasks, 0, TaskKilled("enough")))
        harness.tell(task_ended(tasks, 1, result_success(b"too late")))
        harness.tell(task_ended(tasks, 2, map_success(2)))
        await settle()
        assert recorder.ends == [(0, TaskKilled), (1, Success), (2, Success)]

    run_virtual(scenario())


@pytest.mark.scenario("DAG-016")
@pytest.mark.parametrize("partitions", [0, 2])
def test_listeners_see_the_properties_that_a_job_had_when_it_was_submitted(partitions: int) -> None:
    async def scenario() -> None:
        harness, recorder = listening()
        properties = {"key": "as submitted"}
        harness.tell(submit_job(1, one_stage(2).lineage(), range(partitions), properties=properties))
        properties["key"] = "changed later"
        await settle()
        told = [event.properties for event in recorder.seen if isinstance(event, JobStart | StageSubmitted)]
        assert told == [{"key": "as submitted"}] * (1 if partitions == 0 else 2)

    run_virtual(scenario())


def test_executors_that_come_and_go_are_told_of() -> None:
    async def scenario() -> None:
        harness, recorder = listening()
        harness.tell(ExecutorAdded(ExecutorId("7"), "a"))
        harness.tell(ExecutorRemoved(ExecutorId("7"), "a", "it was lost", caused_by_app=False))
        await settle()
        joined, left = recorder.seen
        assert isinstance(joined, ExecutorJoined)
        assert (joined.executor_id, joined.host) == ("7", "a")
        assert isinstance(left, ExecutorLeft)
        assert (left.executor_id, left.host, left.reason) == ("7", "a", "it was lost")

    run_virtual(scenario())
