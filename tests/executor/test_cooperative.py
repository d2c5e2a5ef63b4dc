from collections.abc import Iterator
from typing import Any

import pytest

from minispark.errors import TaskKilled
from minispark.executor.cooperative import CooperativeBracket, WatchingTaskRunner
from minispark.ids import TaskId
from minispark.messages import task as values
from tests.executor.attempts import FakeServices, Records, binary, task


def test_a_kill_counts_for_its_attempt_only() -> None:
    bracket = CooperativeBracket()
    bracket.kill(TaskId(1), "why")

    bracket.begin(TaskId(2))
    assert (bracket.killed, bracket.reason) == (False, "")
    bracket.__enter__()

    bracket.begin(TaskId(1))
    assert (bracket.killed, bracket.reason) == (True, "why")
    with pytest.raises(TaskKilled, match="why"):
        bracket.__enter__()


def test_a_kill_is_noticed_between_records() -> None:
    services, seen = FakeServices(), list[int]()
    services.user_code.begin(TaskId(1))

    def function(context: Any, records: Iterator[int]) -> str:
        for record in records:
            seen.append(record)
            context.kill.kill(TaskId(1), "enough")
        return "the records ended by themselves"

    services.binaries[1] = binary(function, Records(1, 2, 3))
    outcome = WatchingTaskRunner(services, services.user_code).run(task())

    assert isinstance(outcome, values.TaskKilled)
    assert outcome.reason == "enough"


def test_the_records_of_an_attempt_that_is_not_killed_are_all_there() -> None:
    services = FakeServices()
    services.user_code.begin(TaskId(1))
    services.user_code.kill(TaskId(99), "another one")
    services.binaries[1] = binary(lambda _, records: list(records), Records(1, 2, 3))

    outcome = WatchingTaskRunner(services, services.user_code).run(task())

    assert isinstance(outcome, values.Success)
