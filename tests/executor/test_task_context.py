import threading
from collections.abc import Callable
from typing import NoReturn

import pytest

from minispark.errors import CommitDenied, FetchFailedError, TaskKilled, TaskListenerError
from minispark.executor.cooperative import CooperativeBracket
from minispark.executor.task_context import TaskContextImpl
from minispark.ids import TaskId
from minispark.messages.coordination import PermissionToCommit
from minispark.rdd.ports import MutableTaskMetrics, ShuffleAccess, TaskContext
from tests.executor.attempts import task

task_context = pytest.mark.scenario("HIS-006", "TaskContext")


def no_shuffle(context: TaskContextImpl) -> ShuffleAccess:
    raise AssertionError("nobody asked for the shuffle")


def make_context(**changes: int) -> TaskContextImpl:
    return TaskContextImpl(task(**changes), MutableTaskMetrics(), CooperativeBracket(), no_shuffle)  # type: ignore[arg-type]


def fails_with(text: str) -> Callable[[TaskContext], NoReturn]:
    def listener(context: TaskContext) -> NoReturn:
        raise ValueError(text)

    return listener


@task_context
def test_it_knows_the_attempt() -> None:
    context = TaskContextImpl(
        task(7, attempt_number=2, partition=5, properties={"pool": "fast"}),
        MutableTaskMetrics(),
        CooperativeBracket(),
        no_shuffle,
    )

    assert (context.task_attempt_id, context.attempt_number, context.partition_id) == (7, 2, 5)
    assert (context.stage_id, context.stage_attempt_number, context.cpus) == (2, 3, 1)


@task_context
def test_local_properties_are_those_of_the_job() -> None:
    context = TaskContextImpl(
        task(properties={"pool": "fast"}), MutableTaskMetrics(), CooperativeBracket(), no_shuffle
    )

    assert context.get_local_property("pool") == "fast"
    assert context.get_local_property("unknown") is None


@task_context
def test_completion_listeners_run_in_reverse_order() -> None:
    context, seen = make_context(), list[int]()
    for number in range(3):
        context.add_task_completion_listener(lambda _, number=number: seen.append(number))  # type: ignore[misc]

    context.mark_completed()

    assert seen == [2, 1, 0]
    assert context.is_completed()
    assert not context.is_failed()


@task_context
def test_completion_listeners_run_after_a_failure_and_after_the_failure_listeners() -> None:
    context, seen = make_context(), list[str]()
    context.add_task_failure_listener(lambda _, error: seen.append(f"failure {error}"))
    context.add_task_completion_listener(lambda _: seen.append("completion"))

    context.end_with(ValueError("boom"))

    assert seen == ["failure boom", "completion"]
    assert context.is_failed()
    assert context.is_completed()


@task_context
def test_failure_listeners_do_not_run_when_the_task_succeeds() -> None:
    context, seen = make_context(), list[str]()
    context.add_task_failure_listener(lambda _, error: seen.append("failure"))

    context.mark_completed()

    assert seen == []


@task_context
def test_all_completion_listeners_run_even_if_some_fail() -> None:
    context, seen = make_context(), list[str]()
    context.add_task_completion_listener(lambda _: seen.append("first"))
    context.add_task_completion_listener(fails_with("one"))
    context.add_task_completion_listener(fails_with("two"))

    with pytest.raises(TaskListenerError, match=r"2 listener.*ValueError: two; ValueError: one"):
        context.mark_completed()

    assert seen == ["first"]


@task_context
def test_all_failure_listeners_run_even_if_some_fail() -> None:
    context, seen = make_context(), list[str]()
    context.add_task_failure_listener(lambda _, error: seen.append("first"))
    context.add_task_failure_listener(lambda context, _: fails_with("listener")(context))

    with pytest.raises(TaskListenerError, match=r"listener; before that the task failed with KeyError: 'task'"):
        context.mark_failed(KeyError("task"))

    assert seen == ["first"]


@task_context
def test_a_failed_completion_listener_fails_the_task() -> None:
    context, seen = make_context(), list[BaseException]()
    context.add_task_failure_listener(lambda _, error: seen.append(error))
    context.add_task_completion_listener(fails_with("late"))

    with pytest.raises(TaskListenerError) as caught:
        context.mark_completed()

    assert seen == [caught.value]
    assert context.is_failed()


@task_context
def test_what_listeners_raise_is_noted_on_the_error_of_the_task() -> None:
    context, error = make_context(), KeyError("task")
    context.add_task_completion_listener(fails_with("listener"))

    context.end_with(error)

    assert len(error.__notes__) == 1
    assert "ValueError: listener; before that the task failed with KeyError: 'task'" in error.__notes__[0]


@task_context
def test_a_completion_listener_on_a_completed_context_runs_at_once() -> None:
    context, seen = make_context(), list[str]()
    context.mark_completed()

    context.add_task_completion_listener(lambda _: seen.append("late"))

    assert seen == ["late"]


@task_context
def test_a_failure_listener_on_a_failed_context_runs_at_once() -> None:
    context, seen = make_context(), list[str]()
    context.mark_failed(ValueError("boom"))

    context.add_task_failure_listener(lambda _, error: seen.append(str(error)))

    assert seen == ["boom"]


@task_context
def test_a_listener_that_runs_at_once_and_fails_raises_where_it_was_registered() -> None:
    context = make_context()
    context.mark_completed()

    with pytest.raises(TaskListenerError, match="late"):
        context.add_task_completion_listener(fails_with("late"))


@task_context
def test_a_listener_may_register_another_which_runs_after_it() -> None:
    context, seen = make_context(), list[str]()

    def outer(context: TaskContext) -> None:
        context.add_task_completion_listener(lambda _: seen.append("inner"))
        seen.append("outer")

    context.add_task_completion_listener(outer)
    context.mark_completed()

    assert seen == ["outer", "inner"]


@task_context
def test_a_completion_listener_may_register_a_failure_listener() -> None:
    context, seen = make_context(), list[str]()
    context.add_task_completion_listener(
        lambda context: context.add_task_failure_listener(lambda _, error: seen.append(str(error)))
    )

    context.end_with(ValueError("boom"))

    assert seen == ["boom"]


@task_context
def test_listeners_run_one_at_a_time_even_if_other_threads_register_them() -> None:
    context, seen = make_context(), list[str]()
    registered = threading.Event()

    def register() -> None:
        context.add_task_completion_listener(lambda _: seen.append(threading.current_thread().name))
        registered.set()

    def slow(_: TaskContext) -> None:
        threading.Thread(target=register, name="other").start()
        assert registered.wait(60)
        seen.append("slow")

    context.add_task_completion_listener(slow)
    context.mark_completed()

    assert seen == ["slow", threading.current_thread().name]


@task_context
def test_only_the_first_failure_counts_and_listeners_run_once() -> None:
    context, seen = make_context(), list[str]()
    context.add_task_failure_listener(lambda _, error: seen.append(str(error)))

    context.end_with(ValueError("first"))
    context.end_with(ValueError("second"))

    assert seen == ["first"]


@task_context
def test_a_killed_attempt_is_interrupted() -> None:
    bracket = CooperativeBracket()
    context = TaskContextImpl(task(1), MutableTaskMetrics(), bracket, no_shuffle)
    bracket.begin(TaskId(1))
    assert not context.is_interrupted()
    context.kill_task_if_interrupted()

    bracket.kill(TaskId(1), "not needed")

    assert context.is_interrupted()
    with pytest.raises(TaskKilled, match="not needed"):
        context.kill_task_if_interrupted()


@task_context
def test_a_kill_during_a_listener_lets_the_others_run_and_counts_as_a_kill() -> None:
    context, seen = make_context(), list[str]()

    def killed(_: TaskContext) -> None:
        raise TaskKilled("stop")

    context.add_task_completion_listener(lambda _: seen.append("other"))
    context.add_task_completion_listener(killed)

    with pytest.raises(TaskKilled, match="stop"):
        context.mark_completed()

    assert seen == ["other"]


def test_the_first_fetch_failure_is_kept() -> None:
    context = make_context()
    first, second = FetchFailedError(None, "first"), FetchFailedError(None, "second")

    context.fetch_failed(first)
    context.fetch_failed(second)

    assert context.fetch_failure is first


def test_an_attempt_without_rivals_may_commit() -> None:
    context = make_context()
    context.request_commit()

    assert not context.commit_denied


def test_a_denial_is_an_error_and_is_noted() -> None:
    context = make_context()
    context.ask = lambda request: PermissionToCommit(False)

    with pytest.raises(
        CommitDenied, match=r"task 0\.0 in stage 2\.3 may not commit partition 0: another attempt does"
    ):
        context.request_commit()

    assert context.commit_denied
