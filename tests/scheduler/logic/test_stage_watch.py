from minispark.ids import JobId, StageId
from minispark.messages.scheduler import TaskEnded
from minispark.scheduler.logic.job import JobFailure
from minispark.scheduler.logic.stage_watch import StageWatchers
from minispark.testing.builders import (
    LineageBuilder,
    fetch_failed,
    map_success,
    result_success,
    submit_job,
    task_ended,
    task_set,
)
from tests.scheduler.logic.dag_harness import DagHarness, dag


class Recorder:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def attempt_started(self, stage_id: StageId, stage_attempt: int, num_tasks: int) -> None:
        self.told.append(("started", stage_id, stage_attempt, num_tasks))

    def task_ended(self, ended: TaskEnded) -> None:
        self.told.append(("task", ended.stage_id, type(ended.reason).__name__))

    def attempt_ended(self, stage_id: StageId, stage_attempt: int, is_done: bool) -> None:
        self.told.append(("ended", stage_id, stage_attempt, is_done))

    def stage_gone(self, stage_id: StageId) -> None:
        self.told.append(("gone", stage_id))


def watched(harness: DagHarness) -> Recorder:
    recorder = Recorder()
    harness.state.watchers.add(recorder)
    return recorder


def test_all_are_told_in_their_order() -> None:
    first, second = Recorder(), Recorder()
    watchers = StageWatchers(first)
    watchers.add(second)

    watchers.attempt_started(StageId(1), 0, 4)
    watchers.task_ended(task_ended(task_set([0], stage_id=1), 0, result_success()))
    watchers.attempt_ended(StageId(1), 0, True)
    watchers.stage_gone(StageId(1))

    assert first.told == second.told
    assert first.told == [("started", 1, 0, 4), ("task", 1, "Success"), ("ended", 1, 0, True), ("gone", 1)]


def test_a_stage_is_watched_from_its_first_attempt_until_no_job_needs_it() -> None:
    with dag() as harness:
        recorder = watched(harness)
        build = LineageBuilder()
        build.source(2)
        harness.submit(submit_job(1, build.lineage()))
        harness.end_all_results(harness.last)

    lives = [told for told in recorder.told if told[0] != "task"]
    assert lives == [("started", 0, 0, 2), ("ended", 0, 0, True), ("gone", 0)]


def test_an_attempt_that_will_be_repeated_is_not_done() -> None:
    with dag() as harness:
        recorder = watched(harness)
        build = LineageBuilder()
        build.shuffled(build.source(1), 1)
        harness.submit(submit_job(1, build.lineage()))
        harness.end(harness.last, 0, map_success(0))
        harness.end(harness.last, 0, fetch_failed(0, 0))
        assert recorder.told[-1] == ("ended", 1, 0, False)
        harness.state.fail_job(JobId(1), JobFailure("aborted", "enough"))

    assert recorder.told[-2:] == [("gone", 0), ("gone", 1)]
