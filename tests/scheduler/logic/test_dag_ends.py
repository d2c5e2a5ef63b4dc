"""What follows when attempts, jobs and shuffles end."""

from dataclasses import replace

import pytest

from minispark.ids import ShuffleId, StageId
from minispark.messages.listener import StageCompleted
from minispark.messages.scheduler import TaskEnded
from minispark.messages.task import Success, TaskMetrics
from minispark.scheduler.logic.effects import Post, RemoveShuffleFiles
from minispark.testing.builders import fetch_failed, map_success, submit_job
from tests.scheduler.logic.dag_harness import DagHarness, dag, two_stages


def wrote(index: int, records: int) -> Success:
    return replace(map_success(index, reducers=2), metrics=TaskMetrics(shuffle_write_records=records))


class Ends:
    """A watch that notes how attempts ended."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, bool]] = []

    def attempt_started(self, stage_id: StageId, stage_attempt: int, num_tasks: int) -> None: ...

    def task_ended(self, ended: TaskEnded) -> None: ...

    def attempt_ended(self, stage_id: StageId, stage_attempt: int, is_done: bool) -> None:
        self.seen.append((stage_id, stage_attempt, is_done))

    def stage_gone(self, stage_id: StageId) -> None: ...


def files_removed(harness: DagHarness) -> list[RemoveShuffleFiles]:
    harness.absorb()
    return [effect for effect in harness.effects if isinstance(effect, RemoveShuffleFiles)]


def test_watches_are_told_which_attempts_failed_and_which_are_done() -> None:
    with dag() as harness:
        ends = Ends()
        harness.state.watchers.add(ends)
        harness.submit(submit_job(1, two_stages().lineage()))
        harness.end_all_maps(harness.last)
        harness.end(harness.last, 0, fetch_failed(0, 0, only_this=True))
        harness.resubmit()
        harness.end_all_maps(harness.last)
        harness.end_all_results(harness.last)
        assert ends.seen == [(0, 0, True), (1, 0, False), (0, 1, True), (1, 1, True)]


@pytest.mark.scenario("ACC-004", "internal accumulators in task, stage, several stages, resubmitted stages")
def test_a_stage_that_is_tried_again_counts_what_its_new_tasks_did_alone() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        for index in range(2):
            harness.end(harness.last, index, wrote(index, 10 + index))
        harness.end(harness.last, 0, fetch_failed(0, 0, only_this=True))
        harness.resubmit()
        harness.end(harness.last, 0, wrote(0, 100))
        ended = [
            e.event.stage for e in harness.effects if isinstance(e, Post) and isinstance(e.event, StageCompleted)
        ]
        assert [(stage.attempt, stage.num_tasks, stage.metrics.shuffle_write_records) for stage in ended] == [
            (0, 2, 21),
            (0, 2, 0),
            (1, 1, 100),
        ]
        harness.end_all_results(harness.last)


@pytest.mark.scenario("CTX-007", "zombie tasks of a finished result stage cancelled")
@pytest.mark.parametrize("retried", [False, True])
def test_what_is_left_of_earlier_attempts_is_killed_when_the_result_stage_is_finished(retried: bool) -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        harness.end_all_maps(harness.last)
        if retried:
            harness.end(harness.last, 0, fetch_failed(0, 0, only_this=True))
            harness.resubmit()
            harness.end_all_maps(harness.last)
        harness.end_all_results(harness.last)
        assert (1 in harness.killed_stages()) == retried
        assert harness.succeeded() == [1]


@pytest.mark.parametrize(
    ("text", "told"), [("connection refused", "connection refused"), ("", "a map output could not be fetched")]
)
def test_listeners_are_told_when_and_why_an_attempt_failed(text: str, told: str) -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        harness.end_all_maps(harness.last)
        harness.state.now = 7.0
        harness.end(harness.last, 0, replace(fetch_failed(0, 0), message=text))
        events = [effect.event for effect in harness.effects if isinstance(effect, Post)]
        stages = [event.stage for event in events if isinstance(event, StageCompleted)]
        assert [(stage.failure, stage.completed_s) for stage in stages] == [("", 0.0), (told, 7.0)]
        harness.state.cancellation.cancel_all("enough")


def test_a_shuffle_that_nothing_refers_to_is_kept_until_the_jobs_that_read_it_end() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        harness.end_all_maps(harness.last)
        harness.state.forget_shuffle(ShuffleId(0))
        assert files_removed(harness) == []
        harness.end_all_results(harness.last)
        assert [effect.shuffle_id for effect in files_removed(harness)] == [0]
        assert harness.succeeded() == [1]


def test_a_shuffle_that_no_job_reads_goes_at_once_with_each_place_named_once() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        harness.end_all_maps(harness.last)
        harness.end_all_results(harness.last)
        harness.state.forget_shuffle(ShuffleId(0))
        (removed,) = files_removed(harness)
        assert len(removed.locations) == 1


def test_of_a_shuffle_that_was_never_written_no_files_are_removed() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        harness.state.forget_shuffle(ShuffleId(0))
        harness.state.cancellation.cancel_all("enough")
        assert files_removed(harness) == []
        assert harness.failed() == {1: "enough"}
