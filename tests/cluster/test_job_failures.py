"""What bad luck in a task gives its caller, with real runner processes; the context goes on after each."""

import asyncio
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NoReturn

import pytest

from minispark import PicklingError, SparkConf, SparkContext, UserCodeError
from minispark.errors import ExecutorLost, ResultTooLarge
from tests.contexts import session_directory

pytestmark = pytest.mark.cluster


class OddError(Exception):
    """Cannot be made again from its arguments."""

    def __init__(self, code: int, *, text: str) -> None:
        super().__init__(f"{code}: {text}")


class Unpicklable:
    def __reduce__(self) -> NoReturn:
        raise TypeError("this result does not travel")


def with_context(
    scenario: Callable[[SparkContext], Awaitable[None]], master: str = "local[2]", **settings: object
) -> None:
    """Run a scenario, then a job that shows that the context still works."""

    async def run() -> None:
        conf = SparkConf({f"minispark.{key.replace('_', '.')}": value for key, value in settings.items()})
        async with SparkContext(master, conf=conf) as sc:
            await scenario(sc)
            assert await sc.parallelize(range(100), 4).map(lambda n: n + 1).sum() == 5050

    asyncio.run(run())


def expect_failure(
    function: Callable[[int], Any], error: type[BaseException], text: str, master: str = "local[2]"
) -> None:
    """Assert that a job of that function fails with that error."""

    async def scenario(sc: SparkContext) -> None:
        with pytest.raises(error, match=text):
            await sc.parallelize(range(4), 2).map(function).collect()

    with_context(scenario, master)


def crash(how: str) -> None:
    match how:
        case "exit":
            os._exit(3)
        case "exit zero":
            os._exit(0)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segfault":
            ctypes.string_at(0)


def test_a_users_exception_comes_back_as_itself_with_a_note() -> None:
    async def scenario(sc: SparkContext) -> None:
        with pytest.raises(ZeroDivisionError, match="by zero") as raised:
            await sc.parallelize([1, 0], 2).map(lambda n: 1 // n).collect()
        notes = "\n".join(raised.value.__notes__)
        assert "stage 0, partition 1, attempt 1/1, on executor driver" in notes
        assert "test_job_failures.py:" in notes
        assert "1 // n" in notes

    with_context(scenario)


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("exit", "exited with code 3"),
        ("exit zero", "exited with code 0"),
        ("killed", "SIGKILL"),
        ("segfault", "SIGSEGV"),
    ],
)
def test_a_crash_of_a_runner_is_a_failed_attempt(how: str, text: str) -> None:
    expect_failure(lambda n: crash(how), ExecutorLost, text)


def test_a_segfault_tells_the_line_that_crashed() -> None:
    expect_failure(lambda n: crash("segfault"), ExecutorLost, r"test_job_failures\.py.*crash")


def test_a_task_that_crashes_once_is_tried_again(tmp_path: Any) -> None:
    marker = str(tmp_path / "crashed")

    def crash_once(n: int) -> int:
        if n == 1 and not os.path.exists(marker):
            with open(marker, "w"):
                os.kill(os.getpid(), signal.SIGKILL)
        return n

    async def scenario(sc: SparkContext) -> None:
        assert await sc.parallelize(range(4), 4).map(crash_once).collect() == [0, 1, 2, 3]
        assert os.path.exists(marker)

    with_context(scenario, "local[2,3]")


def test_an_exception_with_an_odd_constructor_comes_back_as_itself() -> None:
    def fail(n: int) -> int:
        raise OddError(7, text="odd")

    expect_failure(fail, OddError, "7: odd")


def test_a_systemexit_of_a_task_does_not_end_the_driver() -> None:
    expect_failure(lambda n: sys.exit(5), UserCodeError, "SystemExit")


def test_an_infinite_recursion_is_an_error_of_its_task() -> None:
    def recurse(n: int) -> int:
        return recurse(n) + 1

    expect_failure(recurse, RecursionError, "maximum recursion depth")


@pytest.mark.scenario("FAIL-002", "non-serialisable result")
def test_a_result_that_cannot_be_pickled_is_an_error_that_says_so() -> None:
    expect_failure(lambda n: Unpicklable(), PicklingError, "this result does not travel")


@pytest.mark.scenario("DAG-018")
def test_a_closure_that_cannot_be_pickled_fails_before_any_task_runs(tmp_path: Any) -> None:
    lock = threading.Lock()
    ran = str(tmp_path / "ran")

    def touch(n: int) -> tuple[int, int]:
        with open(ran, "w"):
            return n, n

    async def scenario(sc: SparkContext) -> None:
        with pytest.raises(PicklingError, match=r"lock"):
            await sc.parallelize([1], 1).map(touch).reduce_by_key(max).map(lambda kv: (kv, lock)).collect()
        assert not os.path.exists(ran)

    with_context(scenario)


def test_an_rdd_or_a_context_inside_a_closure_is_refused_and_said_so() -> None:
    async def scenario(sc: SparkContext) -> None:
        other = sc.parallelize([1], 1)
        with pytest.raises(PicklingError, match="RDD"):
            await sc.parallelize([1], 1).map(lambda n: (n, other)).collect()
        with pytest.raises(PicklingError, match="SparkContext"):
            await sc.parallelize([1], 1).map(lambda n: sc.parallelize([n])).collect()

    with_context(scenario)


@pytest.mark.scenario("DIS-003", "repeatedly failing task → job error after 4")
def test_a_task_is_tried_as_often_as_the_master_says(tmp_path: Any) -> None:
    def count_and_fail(n: int) -> int:
        with open(tmp_path / "attempts", "a") as file:
            file.write("x")
        raise ValueError("always")

    async def scenario(sc: SparkContext) -> None:
        with pytest.raises(ValueError, match="always") as raised:
            await sc.parallelize([1], 1).map(count_and_fail).collect()
        assert "attempt 4/4" in "\n".join(raised.value.__notes__)
        assert (tmp_path / "attempts").read_text() == "xxxx"

    with_context(scenario, "local[2,4]")


def test_results_beyond_the_bound_are_refused_and_the_setting_named() -> None:
    async def scenario(sc: SparkContext) -> None:
        with pytest.raises(ResultTooLarge, match=r"minispark\.driver\.maxResultSize"):
            await sc.parallelize(range(4), 4).map(lambda n: bytes(100_000)).collect()

    with_context(scenario, driver_maxResultSize="200k")


@pytest.mark.scenario("HIS-006", "TaskResultGetter")
def test_a_large_result_comes_through_a_file_that_is_gone_afterwards() -> None:
    async def scenario(sc: SparkContext) -> None:
        (rows,) = await sc.run_job(sc.parallelize([7], 1), lambda context, records: [bytes(1000)] * 5000)
        assert len(rows) == 5000
        value = await sc.parallelize([3], 1).map(lambda n: bytes(3_000_000)).first()
        assert len(value) == 3_000_000
        assert list((session_directory(sc) / "blocks").iterdir()) == []

    with_context(scenario)


def test_a_function_that_raises_stopiteration_does_not_cut_the_records_short() -> None:
    def stop(records: Iterator[int]) -> Iterator[int]:
        yield next(records)
        next(iter(()))

    async def scenario(sc: SparkContext) -> None:
        with pytest.raises(RuntimeError, match="StopIteration"):
            await sc.parallelize(range(4), 1).map_partitions(stop).collect()

    with_context(scenario)


def test_a_job_that_fails_stops_its_other_tasks() -> None:
    def fail_or_wait(n: int) -> int:
        if n == 0:
            raise ValueError("no")
        threading.Event().wait()
        return n

    async def scenario(sc: SparkContext) -> None:
        with pytest.raises(ValueError, match="no"):
            await sc.parallelize([0, 1], 2).map(fail_or_wait).collect()

    with_context(scenario)
