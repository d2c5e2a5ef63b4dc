import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from minispark.errors import CommitDenied, FetchFailedError, TaskKilled
from minispark.executor.cooperative import CooperativeBracket
from minispark.executor.current_task import current_task_context
from minispark.executor.metrics import STOPPED
from minispark.executor.task_runner import MAX_WORKS, TaskRunner
from minispark.ids import JobId, ShuffleId, StageId, TaskId
from minispark.messages import task as values
from minispark.messages.coordination import BARRIER_ADDRESSES, AskPermissionToCommit
from minispark.messages.runner import MapOutputs, NeedBinary
from minispark.messages.task import DirectResult, ExceptionFailure, Success, TaskDescription, TaskOutcome
from minispark.rdd.ports import TaskContext
from tests.executor.attempts import FakeServices, Records, binary, task

Function = Callable[[Any, Iterator[Any]], Any]
LOST = values.FetchFailed(None, ShuffleId(4), TaskId(-1), -1, 0, "lost")


def run(function: Function, *records: Any, attempt: TaskDescription | None = None) -> TaskOutcome:
    """Run one task that applies a function to records."""
    services = FakeServices()
    services.binaries[1] = binary(function, Records(*records))
    services.user_code.begin(TaskId(1))
    return TaskRunner(services).run(attempt or task())


def value_of(outcome: TaskOutcome) -> Any:
    assert isinstance(outcome, Success), outcome
    assert isinstance(outcome.result, DirectResult)
    return [pickle.loads(batch) for batch in outcome.result.batches]


def failure_of(outcome: TaskOutcome) -> ExceptionFailure:
    assert isinstance(outcome, ExceptionFailure), outcome
    return outcome


def kill(context: Any, reason: str = "no longer needed") -> None:
    """Have the attempt killed while it runs, without an interrupt."""
    context.kill.kill(TaskId(1), reason)


def fetch(context: Any) -> NoReturn:
    """Fail as a reader of a shuffle does."""
    error = FetchFailedError(LOST, "lost")
    context.fetch_failed(error)
    raise error


def test_a_list_is_sent_as_rows() -> None:
    outcome = run(lambda _, records: [record + 1 for record in records], 1, 2)

    assert value_of(outcome) == [[2, 3]]
    assert isinstance(outcome, Success)
    assert isinstance(outcome.result, DirectResult)
    assert outcome.result.rows
    assert outcome.metrics.result_size_bytes == len(outcome.result.batches[0])


def test_anything_else_is_sent_whole() -> None:
    outcome = run(lambda _, records: sum(records), 1, 2)

    assert value_of(outcome) == [3]
    assert isinstance(outcome, Success)
    assert outcome.result == DirectResult(False, outcome.result.batches)  # type: ignore[union-attr]


def test_the_partition_travels_with_the_task() -> None:
    partition = pickle.dumps({"index": 9})

    class Given(Records):
        def compute(self, partition: Any, context: TaskContext) -> Iterator[Any]:
            return iter([partition])

    services = FakeServices()
    services.binaries[1] = binary(lambda _, records: next(records), Given())

    assert value_of(TaskRunner(services).run(task(partition_data=partition))) == [{"index": 9}]


def test_a_binary_is_asked_for_once() -> None:
    services = FakeServices()
    services.binaries[1] = binary(lambda context, _: context.task_attempt_id)
    runner = TaskRunner(services)

    assert [value_of(runner.run(task(number))) for number in (1, 2)] == [[1], [2]]
    assert services.asked == [NeedBinary(1)]  # type: ignore[arg-type]


def test_the_binaries_used_last_are_kept() -> None:
    services = FakeServices()
    services.binaries = dict.fromkeys(range(MAX_WORKS + 1), binary(lambda *_: None))
    runner = TaskRunner(services)

    for number in (*range(MAX_WORKS), 0, MAX_WORKS, 0, 1):
        runner.run(task(binary_id=number))

    assert [request.binary_id for request in services.asked] == [*range(MAX_WORKS + 1), 1]  # type: ignore[union-attr]


def test_what_a_failed_attempt_left_in_its_closure_is_not_kept() -> None:
    seen: list[int] = []

    def fail_at_first(context: Any, _: Iterator[Any]) -> int:
        seen.append(1)
        if context.attempt_number == 0:
            raise ValueError
        return len(seen)

    services = FakeServices()
    services.binaries[1] = binary(fail_at_first)
    runner = TaskRunner(services)
    runner.run(task(1))

    assert value_of(runner.run(task(2, attempt_number=1))) == [1]


def test_a_user_exception_travels_as_itself() -> None:
    failure = failure_of(run(lambda _, records: 1 // next(records), 0))

    assert failure.class_name == "ZeroDivisionError"
    assert "test_task_runner.py" in failure.traceback


def test_the_context_is_found_by_user_code_and_gone_afterwards() -> None:
    assert value_of(run(lambda context, _: current_task_context() is context)) == [True]
    assert current_task_context() is None


@pytest.mark.parametrize(
    "error",
    [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), BaseException("odd")],
    ids=lambda e: type(e).__name__,
)
def test_whatever_user_code_raises_ends_the_attempt_only(error: BaseException) -> None:
    def function(context: Any, records: Iterator[Any]) -> NoReturn:
        raise error

    assert failure_of(run(function)).class_name == type(error).__name__


def test_endless_recursion_ends_the_attempt_only() -> None:
    def function(context: Any, records: Iterator[Any]) -> Any:
        return function(context, records)

    assert failure_of(run(function)).class_name == "RecursionError"


def test_an_exception_with_an_odd_constructor_ends_the_attempt_only() -> None:
    class Odd(Exception):
        def __init__(self, code: int, *, detail: str) -> None:
            super().__init__(f"{code}: {detail}")

    def function(context: Any, records: Iterator[Any]) -> NoReturn:
        raise Odd(7, detail="bad")

    failure = failure_of(run(function))

    assert failure.class_name.endswith("Odd")
    assert failure.description == "7: bad"


def test_a_result_that_cannot_be_pickled_fails_the_attempt() -> None:
    failure = failure_of(run(lambda _, records: (record for record in records)))

    assert failure.class_name.endswith("PicklingError")
    assert "generator" in failure.description


def test_stop_iteration_of_user_code_is_an_error() -> None:
    failure = failure_of(run(lambda _, records: next(records)))

    assert failure.class_name == "RuntimeError"
    assert "StopIteration" in failure.description


@pytest.mark.scenario("EXE-006")
def test_an_attempt_tells_the_peak_of_its_runners_memory_however_it_ends() -> None:
    def end(how: str) -> TaskOutcome:
        def body(context: Any, _: Iterator[Any]) -> None:
            if how == "killed":
                kill(context)
            if how == "failed":
                raise ValueError

        return run(body)

    outcomes = end("well"), end("killed"), end("failed")

    assert [type(outcome) for outcome in outcomes] == [Success, values.TaskKilled, ExceptionFailure]
    for outcome in outcomes:
        assert isinstance(outcome, Success | values.TaskKilled | ExceptionFailure)
        assert outcome.metrics.peak_memory_bytes > 1 << 20


@pytest.mark.scenario("EXE-001")
def test_a_killed_attempt_is_killed_whatever_it_raises() -> None:
    def function(context: Any, records: Iterator[Any]) -> NoReturn:
        kill(context)
        raise ValueError("while it unwinds")

    outcome = run(function)

    assert isinstance(outcome, values.TaskKilled)
    assert outcome.reason == "no longer needed"


def test_a_kill_that_user_code_did_not_notice_discards_the_result() -> None:
    outcome = run(lambda context, _: kill(context))

    assert isinstance(outcome, values.TaskKilled)


def test_an_attempt_killed_before_it_began_does_not_run() -> None:
    services, seen = FakeServices(), list[int]()
    services.binaries[1] = binary(lambda *_: seen.append(1))
    services.user_code.begin(TaskId(1))
    services.user_code.kill(TaskId(1), "too late")

    outcome = TaskRunner(services).run(task())

    assert isinstance(outcome, values.TaskKilled)
    assert outcome.reason == "too late"


class LateBracket(CooperativeBracket):
    """A bracket in which the kill strikes as it is left, as a signal may."""

    def __exit__(self, *exception: object) -> None:
        self.kill(TaskId(1), "late")
        raise TaskKilled("late")


def test_a_kill_that_strikes_at_the_end_of_the_bracket_is_a_kill() -> None:
    services, ended = FakeServices(), list[TaskContext]()
    services.user_code = LateBracket()
    services.user_code.begin(TaskId(1))
    services.binaries[1] = binary(lambda context, _: context.add_task_completion_listener(ended.append))

    outcome = TaskRunner(services).run(task())

    assert isinstance(outcome, values.TaskKilled)
    assert outcome.reason == "late"


@pytest.mark.parametrize(("bracket", "num_files"), [(CooperativeBracket, 1), (LateBracket, 0)])
def test_a_large_result_of_an_attempt_that_was_killed_leaves_no_file(
    bracket: type[CooperativeBracket], num_files: int, tmp_path: Path
) -> None:
    def killed(context: Any, records: Iterator[Any]) -> bytes:
        kill(context)
        return bytes(2 << 20)

    services = FakeServices(str(tmp_path))
    services.user_code = bracket()
    services.binaries[1] = binary(lambda *_: bytes(2 << 20))
    services.binaries[2] = binary(killed)
    for number in (1, 2):
        services.user_code.begin(TaskId(1))
        TaskRunner(services).run(task(number, binary_id=number))

    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == num_files


@pytest.mark.scenario("EXE-002")
def test_a_fetch_failure_is_reported_even_if_user_code_raises_something_else() -> None:
    def function(context: Any, records: Iterator[Any]) -> NoReturn:
        try:
            fetch(context)
        except FetchFailedError as error:
            raise ValueError("hidden") from error

    assert run(function) == LOST


@pytest.mark.scenario("EXE-002")
def test_a_fetch_failure_is_reported_even_if_user_code_swallows_it() -> None:
    def function(context: Any, records: Iterator[Any]) -> str:
        try:
            fetch(context)
        except FetchFailedError:
            return "a partial answer"

    assert run(function) == LOST


@pytest.mark.scenario("EXE-003", "OOM with fetch failure is fatal, not masked")
def test_out_of_memory_is_not_masked_by_a_fetch_failure() -> None:
    def function(context: Any, records: Iterator[Any]) -> NoReturn:
        try:
            fetch(context)
        except FetchFailedError:
            raise MemoryError from None

    assert failure_of(run(function)).class_name == "MemoryError"


@pytest.mark.scenario("EXE-003", "23816 interrupt not masked by fetch failure")
def test_a_kill_is_not_masked_by_a_fetch_failure() -> None:
    def function(context: Any, records: Iterator[Any]) -> NoReturn:
        kill(context)
        fetch(context)

    assert isinstance(run(function), values.TaskKilled)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (TaskKilled, ("mine",)),
        (FetchFailedError, (LOST, "mine")),
    ],
)
def test_the_engines_exceptions_raised_by_user_code_are_failures_like_any_other(
    kind: type[BaseException], arguments: tuple[Any, ...]
) -> None:
    def function(context: Any, records: Iterator[Any]) -> NoReturn:
        raise kind(*arguments)

    failure = failure_of(run(function))

    assert failure.class_name == f"minispark.errors.{kind.__name__}"
    assert failure.description == "mine"


@pytest.mark.scenario("EXE-004", "error in task deserialisation handled")
@pytest.mark.scenario("EXE-004", "task metrics sane")
def test_a_task_that_cannot_be_decoded_fails_with_sane_metrics() -> None:
    services = FakeServices()
    services.binaries[1] = b"not a pickle"

    failure = failure_of(TaskRunner(services).run(task()))

    assert failure.metrics.deserialize_time_ns > 0
    assert failure.metrics.cpu_time_ns >= 0
    assert failure.metrics.run_time_ns == 0


def test_a_binary_that_cannot_be_had_fails_the_attempt() -> None:
    failure = failure_of(TaskRunner(FakeServices()).run(task()))

    assert "there is none" in failure.description


def test_a_failed_completion_listener_fails_the_attempt() -> None:
    def function(context: Any, records: Iterator[Any]) -> None:
        context.add_task_completion_listener(lambda _: 1 // 0)

    failure = failure_of(run(function))

    assert failure.class_name.endswith("TaskListenerError")
    assert "ZeroDivisionError" in failure.description


@pytest.mark.scenario("HIS-006", "TaskContext")
def test_listeners_run_when_the_attempt_fails() -> None:
    def function(context: Any, records: Iterator[Any]) -> NoReturn:
        context.add_task_completion_listener(lambda _: 1 // 0)
        context.add_task_failure_listener(lambda _, error: error.add_note("seen by the listener"))
        raise ValueError("boom")

    failure = failure_of(run(function))

    assert failure.description == "boom"
    assert "seen by the listener" in failure.full_traceback
    assert "ZeroDivisionError" in failure.full_traceback


def test_stopped_clocks_make_outcomes_repeatable() -> None:
    services = FakeServices()
    services.binaries[1] = binary(lambda _, records: list(records), Records(1))
    runner = TaskRunner(services, STOPPED)

    assert runner.run(task()) == runner.run(task())


def test_map_outputs_are_asked_for_again_only_when_they_are_too_old() -> None:
    services = FakeServices()
    services.map_outputs[4] = MapOutputs(3, b"three")
    runner = TaskRunner(services)

    assert [bytes(runner.map_outputs.of(ShuffleId(4), epoch)) for epoch in (2, 3)] == [b"three", b"three"]
    services.map_outputs[4] = MapOutputs(5, b"five")
    assert bytes(runner.map_outputs.of(ShuffleId(4), 4)) == b"five"
    assert len(services.asked) == 2


def commit(context: Any, records: Iterator[Any]) -> str:
    """Ask to commit; some say nothing of a denial, or make another error of it."""
    try:
        context.request_commit()
    except CommitDenied as denied:
        raise ValueError("my own") from denied
    return "committed"


def run_committing(*, permits: bool) -> tuple[FakeServices, TaskOutcome]:
    services = FakeServices()
    services.permits = permits
    services.binaries[1] = binary(commit)
    services.user_code.begin(TaskId(1))
    return services, TaskRunner(services).run(task(attempt_number=4, partition=6))


def test_an_attempt_that_may_commit_asks_with_all_that_names_it() -> None:
    services, outcome = run_committing(permits=True)

    assert value_of(outcome) == ["committed"]
    assert services.asked[-1] == AskPermissionToCommit(StageId(2), 3, 6, 4)


def test_a_denied_attempt_is_denied_whatever_it_raises() -> None:
    _, outcome = run_committing(permits=False)

    assert outcome == values.TaskCommitDenied(JobId(1), 6, 4)


def test_a_task_that_was_launched_with_its_fellows_gets_the_context_of_a_barrier() -> None:
    plain = run(lambda context, _: type(context).__name__)
    barrier = run(
        lambda context, _: [info.address for info in context.get_task_infos()],
        attempt=task(properties={BARRIER_ADDRESSES: "a:1,b:1"}),
    )

    assert value_of(plain) == ["TaskContextImpl"]
    assert value_of(barrier) == [["a", "b"]]
