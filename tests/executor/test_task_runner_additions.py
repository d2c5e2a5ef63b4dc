"""What attempts add to accumulators, as the runner reports it."""

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from minispark.errors import TaskKilled
from minispark.executor.task_runner import TaskRunner
from minispark.ids import TaskId
from minispark.messages import task as values
from minispark.messages.task import AccumulatorUpdate, ExceptionFailure, Success, TaskOutcome
from minispark.rdd.accumulators import Accumulator, param_for
from tests.executor.attempts import FakeServices, Records, binary, conf, task

Function = Callable[[Any, Iterator[Any]], Any]


def accumulator(initial: Any = 0, *, count_failed_values: bool = False) -> Accumulator[Any]:
    return Accumulator(initial, param_for(initial), "", count_failed_values)


def run(function: Function, *, times: int = 1, **settings: object) -> list[TaskOutcome]:
    """Run attempts of one task, whose binary is decoded once if they succeed."""
    services = FakeServices()
    services.conf = conf(**settings) if settings else services.conf
    services.binaries[1] = binary(function, Records(1, 2, 3))
    runner = TaskRunner(services)
    outcomes = []
    for _ in range(times):
        services.user_code.begin(TaskId(1))
        outcomes.append(runner.run(task()))
    return outcomes


def added(updates: tuple[AccumulatorUpdate, ...]) -> dict[int, Any]:
    return {update.accumulator_id: pickle.loads(update.value) for update in updates}


@pytest.mark.scenario("ACC-001", "serialisation: executor copy is reset to zero and marked")
def test_each_attempt_reports_what_it_added_itself() -> None:
    total, records = accumulator(100), accumulator([])

    def add(context: Any, numbers: Iterator[int]) -> int:
        for number in numbers:
            total.add(number)
            records.add(number)
        return 0

    for outcome in run(add, times=2):
        assert isinstance(outcome, Success)
        assert added(outcome.accumulators) == {total.accumulator_id: 6, records.accumulator_id: [1, 2, 3]}
    assert total.value == 100


def test_an_attempt_that_adds_nothing_reports_nothing() -> None:
    total = accumulator()

    (outcome,) = run(lambda context, numbers: total.name)

    assert isinstance(outcome, Success)
    assert outcome.accumulators == ()


@pytest.mark.scenario("DAG-060")
def test_a_failed_attempt_reports_only_what_counts_even_then() -> None:
    plain, every = accumulator(), accumulator(count_failed_values=True)

    def fail(context: Any, numbers: Iterator[int]) -> None:
        plain.add(1)
        every.add(1)
        raise ValueError("no")

    (outcome,) = run(fail)

    assert isinstance(outcome, ExceptionFailure)
    assert added(outcome.accumulators) == {every.accumulator_id: 1}


@pytest.mark.scenario("DAG-060")
def test_a_killed_attempt_reports_only_what_counts_even_then() -> None:
    plain, every = accumulator(), accumulator(count_failed_values=True)

    def be_killed(context: Any, numbers: Iterator[int]) -> None:
        plain.add(1)
        every.add(1)
        context.kill.kill(TaskId(1), "enough")
        raise TaskKilled("enough")

    (outcome,) = run(be_killed)

    assert isinstance(outcome, values.TaskKilled)
    assert added(outcome.accumulators) == {every.accumulator_id: 1}


def test_a_value_that_cannot_be_sent_fails_the_attempt_and_not_the_report_of_its_failure() -> None:
    records = accumulator([], count_failed_values=True)

    def add(context: Any, numbers: Iterator[int]) -> None:
        records.add(b"x" * 2000)

    (outcome,) = run(add, rpc_message_maxSize=2000)

    assert isinstance(outcome, ExceptionFailure)
    assert "accumulators take more than the 1,000 that can be sent" in outcome.description
    assert outcome.accumulators == ()
