import random

from minispark.ids import BinaryId, ExecutorId, JobId, ShuffleId, StageId, TaskId
from minispark.messages.task import ExceptionFailure, FetchFailed, MapStatus, Success, TaskDescription
from minispark.testing.builders import location
from minispark.testing.scripted_tasks import RandomScript, SimulatedExecutor, StageKind, TaskScript

EXECUTOR = SimulatedExecutor(ExecutorId("exec-1"), "host-1", 2)


def attempt(binary: int = 1, reads: tuple[int, ...] = ()) -> TaskDescription:
    shuffles = tuple(ShuffleId(number) for number in reads)
    return TaskDescription(
        TaskId(7), 0, EXECUTOR.executor_id, JobId(0), StageId(0), 0, 3, 3, BinaryId(binary), 0, 1, shuffles, {}, b""
    )


def test_a_task_takes_a_second_and_succeeds_when_nothing_else_is_said() -> None:
    script = TaskScript()
    assert script.duration_s(attempt(), EXECUTOR) == 1.0
    assert isinstance(script.outcome(attempt(), EXECUTOR), Success)
    assert script.late_s(attempt(), EXECUTOR) == script.unwind_s(attempt(), EXECUTOR) == 0.0


def test_a_map_task_says_where_its_output_is() -> None:
    script = TaskScript()
    script.kinds[BinaryId(1)] = StageKind(ShuffleId(0), 3)
    outcome = script.outcome(attempt(), EXECUTOR)
    assert isinstance(outcome, Success)
    assert outcome.result == MapStatus(EXECUTOR.location, TaskId(7), 3, b"\1\1\1", 3, 1)


def test_chance_comes_from_the_generator() -> None:
    draws = []
    for _ in range(2):
        script = RandomScript(random.Random(5), failing=0.5, late=0.5)
        draws.append(
            [(script.duration_s(attempt(), EXECUTOR), script.late_s(attempt(), EXECUTOR)) for _ in range(20)]
            + [repr(script.outcome(attempt(), EXECUTOR)) for _ in range(20)]
        )
    assert draws[0] == draws[1]


def test_about_the_given_share_fails() -> None:
    script = RandomScript(random.Random(1), failing=0.25)
    failures = [isinstance(script.outcome(attempt(), EXECUTOR), ExceptionFailure) for _ in range(1000)]
    assert 200 < sum(failures) < 300


def test_only_tasks_that_read_an_output_fail_to_fetch_one() -> None:
    status = MapStatus(location("exec-0", "host-0"), TaskId(1), 0, b"\1", 1, 1)
    outputs = {ShuffleId(4): [status], ShuffleId(5): []}
    script = RandomScript(random.Random(1), fetch_failing=1.0, outputs_of=outputs.__getitem__)
    assert isinstance(script.outcome(attempt(), EXECUTOR), Success)
    assert isinstance(script.outcome(attempt(reads=(5,)), EXECUTOR), Success)
    failure = script.outcome(attempt(reads=(4,)), EXECUTOR)
    assert isinstance(failure, FetchFailed)
    assert (failure.shuffle_id, failure.map_index, failure.location) == (4, 0, status.location)
