"""Tasks that fail in jobs of one and two stages: tried again for the exact answer, or refused beforehand."""

import threading

import pytest

from minispark.context import SparkContext
from minispark.errors import PicklingError
from minispark.executor.current_task import current_task_context
from minispark.messages.listener import ListenerEvent, StageSubmitted, TaskEnd
from minispark.messages.task import ExceptionFailure
from tests.contexts import run_inline


class Recorder:
    """Counts stage attempts, and attempts of tasks that failed."""

    def __init__(self) -> None:
        self.stages = self.failures = 0

    def on_event(self, event: ListenerEvent) -> None:
        self.stages += isinstance(event, StageSubmitted)
        self.failures += isinstance(event, TaskEnd) and isinstance(event.reason, ExceptionFailure)


def fail_once(number: int) -> int:
    """Fail in the first attempt of the task that meets the number 1."""
    context = current_task_context()
    assert context is not None
    if number == 1 and context.attempt_number == 0:
        raise ValueError("the first attempt")
    return number


def fail_once_in_reduce(pair: tuple[int, list[int]]) -> int:
    return fail_once(pair[0])


@pytest.mark.scenario("FAIL-001", "single-stage failure")
def test_a_failed_task_of_a_single_stage_is_tried_again() -> None:
    recorder = Recorder()

    async def scenario(sc: SparkContext) -> list[int]:
        sc.add_listener(recorder)
        return await sc.parallelize([1, 2, 3], 3).map(fail_once).collect()

    assert run_inline(scenario, task_maxFailures=2) == [1, 2, 3]
    assert (recorder.stages, recorder.failures) == (1, 1)


@pytest.mark.scenario("FAIL-001", "two-stage failure")
def test_failed_tasks_of_both_stages_are_tried_again() -> None:
    recorder = Recorder()

    async def scenario(sc: SparkContext) -> list[int]:
        sc.add_listener(recorder)
        pairs = sc.parallelize([1, 2, 3], 3).map(fail_once).map(lambda number: (number, number))
        return await pairs.group_by_key(3).map(fail_once_in_reduce).collect()

    assert sorted(run_inline(scenario, task_maxFailures=2)) == [1, 2, 3]
    assert (recorder.stages, recorder.failures) == (2, 2)


@pytest.mark.scenario("FAIL-001", "map-stage failure")
def test_a_map_stage_whose_tasks_keep_failing_fails_the_job_before_the_result_stage_runs() -> None:
    recorder = Recorder()

    def fail(number: int) -> tuple[int, int]:
        raise ValueError("every attempt")

    async def scenario(sc: SparkContext) -> None:
        sc.add_listener(recorder)
        with pytest.raises(ValueError, match="every attempt"):
            await sc.parallelize([1], 1).map(fail).group_by_key().collect()

    run_inline(scenario, task_maxFailures=3)

    assert (recorder.stages, recorder.failures) == (1, 3)


@pytest.mark.scenario("FAIL-003")
def test_what_fails_while_a_failed_task_is_cleaned_up_does_not_hide_the_users_error() -> None:
    def leak(context: object) -> None:
        raise RuntimeError("memory was not released")

    def fail(number: int) -> int:
        context = current_task_context()
        assert context is not None
        context.add_task_completion_listener(leak)
        raise ValueError("the user's error")

    async def scenario(sc: SparkContext) -> list[str]:
        with pytest.raises(ValueError, match="the user's error") as raised:
            await sc.parallelize([1], 1).map(fail).collect()
        return raised.value.__notes__

    assert any("memory was not released" in note for note in run_inline(scenario))


@pytest.mark.scenario("FAIL-002", "non-serialisable closure, stage variant")
def test_a_closure_of_a_map_stage_that_cannot_be_pickled_is_refused_before_anything_runs() -> None:
    recorder = Recorder()
    lock = threading.Lock()

    async def scenario(sc: SparkContext) -> int:
        sc.add_listener(recorder)
        with pytest.raises(PicklingError, match="captured variable 'lock'"):
            await sc.parallelize([1], 1).map(lambda number: (number, bool(lock))).group_by_key().collect()
        return await sc.parallelize([1, 2], 2).count()

    assert run_inline(scenario) == 2
    assert recorder.stages == 1  # that of the count
