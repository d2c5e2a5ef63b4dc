"""Exceptions of tasks as values: what they say, how much, and that describing them never fails."""

import heapq
import json
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from minispark.errors import MiniSparkError
from minispark.executor.failures import describe
from minispark.ids import AccumulatorId, RddId
from minispark.messages.task import AccumulatorUpdate, ExceptionFailure, TaskMetrics
from minispark.rdd.actions import list_records
from minispark.rdd.exception_pickling import loads_exception
from minispark.rdd.narrow import MapNode
from minispark.rdd.node import Origin, Partition
from minispark.rdd.tasks import ResultTask
from tests.rdd.two_processes import Records

METRICS = TaskMetrics(run_time_ns=5)
ONE_RECORD = pickle.dumps([1])


class Odd(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class Locked(Exception):
    def __init__(self) -> None:
        super().__init__("locked")
        self.lock = threading.Lock()


class Silent(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class Hostile(Exception):
    def __reduce__(self) -> Any:
        raise KeyboardInterrupt

    def __getattribute__(self, name: str) -> Any:
        raise SystemExit(name)


def failure_of(function: Callable[[Any], Any]) -> ExceptionFailure:
    """Return the failure of a task over `map(function)` of one record."""
    node: MapNode[Any, Any] = MapNode(Origin(RddId(1), "map", "app.py:3"), Records(ONE_RECORD), function)
    try:
        ResultTask(node, list_records).run(Partition(0), cast(Any, None))
    except BaseException as error:  # noqa: BLE001 — the thing under test takes any
        trace = error.__traceback__
        return describe(error.with_traceback(trace and trace.tb_next), METRICS)  # without this very function
    raise AssertionError


def raising(error: BaseException, cause: BaseException | None = None) -> Callable[[Any], Any]:
    def fail(_: Any) -> Any:
        raise error from cause

    return fail


def test_the_traceback_holds_the_users_frames_alone() -> None:
    failure = failure_of(lambda x: x / 0)

    assert (failure.class_name, failure.description) == ("ZeroDivisionError", "division by zero")
    files = [line for line in failure.traceback.splitlines() if line.startswith("  File")]
    assert all(Path(__file__).name in line for line in files)
    assert "in <lambda>" in files[-1]
    assert len(failure.traceback.splitlines()) <= 12
    assert "minispark/rdd/tasks.py" in failure.full_traceback


def files_of(failure: ExceptionFailure) -> list[str]:
    """Return the names of the files that a traceback shows."""
    return [Path(line.split('"')[1]).name for line in failure.traceback.splitlines() if line.startswith("  File")]


def test_frames_of_libraries_are_cut_below_the_users() -> None:
    failure = failure_of(lambda _: heapq.nlargest(1, [1, 2], key=lambda x: json.loads("{")))

    assert files_of(failure) == ["test_failures.py", "heapq.py", "test_failures.py"]
    assert "decoder.py" in failure.full_traceback


def test_without_a_frame_of_the_users_the_innermost_of_a_library_is_shown() -> None:
    failure = failure_of(json.loads)

    assert files_of(failure) == ["__init__.py"]
    assert "the JSON object must be str" in failure.traceback


def test_metrics_and_accumulators_go_with_it() -> None:
    updates = (AccumulatorUpdate(AccumulatorId(1), b"x"),)

    failure = describe(ValueError("x"), METRICS, updates)

    assert (failure.metrics, failure.accumulators) == (METRICS, updates)


def test_an_error_of_ours_has_no_frames_at_all() -> None:
    assert describe(MiniSparkError("no"), METRICS).traceback == "minispark.errors.MiniSparkError: no"


def test_the_exception_itself_travels() -> None:
    error = loads_exception(failure_of(raising(Odd(7, "x"))).exception)

    assert isinstance(error, Odd)
    assert (str(error), error.code) == ("7: x", 7)


@pytest.mark.scenario("FAIL-004", "stack trace kept when the exception is not (de)serialisable")
@pytest.mark.parametrize("error", [Locked(), Silent(), SystemExit(4), KeyboardInterrupt()], ids=type)
def test_what_cannot_travel_is_told_in_text(error: BaseException) -> None:
    failure = failure_of(raising(error))

    assert failure.exception == b""
    assert failure.class_name.endswith(type(error).__name__)
    assert "raise error from cause" in failure.traceback


def test_describing_never_raises() -> None:
    failure = describe(Hostile(), METRICS)

    assert failure.class_name == "tests.executor.test_failures.Hostile"
    assert failure.exception == b""
    assert failure.traceback


def test_a_deep_recursion_is_cut() -> None:
    def even(n: int) -> int:
        return odd(n) + 1

    def odd(n: int) -> int:
        return even(n) + 1

    failure = failure_of(even)

    assert failure.class_name == "RecursionError"
    assert "frames are left out" in failure.traceback
    assert len(failure.traceback.splitlines()) < 40
    assert isinstance(loads_exception(failure.exception), RecursionError)


def test_huge_texts_are_cut() -> None:
    failure = failure_of(raising(ValueError("x" * 5_000_000)))

    assert "characters are left out" in failure.description
    assert len(failure.description) < 5_000
    assert len(failure.traceback) < 10_000
    assert len(failure.full_traceback) < 70_000
    assert failure.exception == b""


def test_causes_are_in_the_traceback_without_our_frames() -> None:
    failure = failure_of(raising(ValueError("late"), KeyError("early")))

    assert "KeyError: 'early'\n\nThe above exception was the direct cause" in failure.traceback
    assert "minispark/" not in failure.traceback


def test_groups_show_their_members() -> None:
    failure = failure_of(raising(ExceptionGroup("two", [ValueError(1), Odd(2, "x")])))

    assert "ValueError: 1" in failure.traceback
    assert "Odd: 2: x" in failure.traceback
    group = loads_exception(failure.exception)
    assert isinstance(group, ExceptionGroup)
    assert [str(member) for member in group.exceptions] == ["1", "2: x"]


def test_texts_show_no_password_and_the_users_exception_stays_as_it_is() -> None:
    url = "sftp://bob:secret@host/x?token=t0k3n"

    failure = describe(OSError(2, "not there", url), METRICS)

    for text in (failure.description, failure.traceback, failure.full_traceback):
        assert "sftp://bob:…@host/x?token=…" in text
        assert "secret" not in text
    kept = loads_exception(failure.exception)
    assert isinstance(kept, FileNotFoundError)
    assert kept.filename == url
