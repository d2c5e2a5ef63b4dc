import pytest

from minispark.ids import BlockId, ExecutorId
from minispark.messages.listener import ListenerEvent, TaskGettingResult
from minispark.messages.task import IndirectResult, Success, TaskMetrics
from minispark.testing.builders import direct_result, result_success, task_set
from minispark.testing.virtual_loop import run_virtual, settle
from tests.scheduler.scheduler_harness import SchedulerHarness

ELSEWHERE = Success(IndirectResult(BlockId("taskresult_0"), 9, True, "somewhere", (9,)), TaskMetrics())


class Recorder:
    def __init__(self) -> None:
        self.seen: list[TaskGettingResult] = []

    def on_event(self, event: ListenerEvent) -> None:
        if isinstance(event, TaskGettingResult):
            self.seen.append(event)


async def events_of(success: Success) -> list[TaskGettingResult]:
    """Let a task succeed, and return the events of its result's fetching."""
    harness, recorder = SchedulerHarness(), Recorder()
    harness.scheduler.results.events.add(recorder)  # type: ignore[attr-defined]
    harness.stored["taskresult_0"] = direct_result(b"large")
    harness.tell(task_set([7], stage_id=3))
    (task,) = harness.offer()
    harness.end(task, success)
    await harness.fetched()
    await settle()
    assert len(harness.reasons()) == 1
    return recorder.seen


@pytest.mark.scenario("HIS-006", "SparkListener")
def test_listeners_hear_of_a_result_that_is_fetched_before_its_task_ends() -> None:
    (event,) = run_virtual(events_of(ELSEWHERE))

    assert (event.stage_id, event.stage_attempt, event.task.index, event.task.partition) == (3, 0, 0, 7)
    assert (event.task.executor_id, event.task.finished_s) == (ExecutorId("driver"), 0.0)


@pytest.mark.scenario("HIS-006", "SparkListener")
def test_nothing_is_told_of_a_result_that_came_along() -> None:
    assert run_virtual(events_of(result_success(b"small"))) == []


def test_a_result_that_cannot_be_read_is_lost() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness(max_failures=2)
        harness.stored["taskresult_0"] = OSError("gone")
        harness.tell(task_set([0]))
        harness.end(harness.offer()[0], ELSEWHERE)
        assert harness.scheduler.results.fetching
        await harness.fetched()
        assert [type(reason).__name__ for reason in harness.reasons()] == ["TaskResultLost"]
        assert not harness.scheduler.results.fetching

    run_virtual(scenario())
