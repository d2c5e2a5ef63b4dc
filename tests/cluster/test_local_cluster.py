"""What real executor processes of a cluster do; one cluster for all tests that leave it as it was."""

import asyncio
import os
from collections.abc import Callable, Iterator
from operator import add
from pathlib import Path
from typing import Any

import pytest

from minispark import PicklingError, SparkConf, SparkContext, UserCodeError
from minispark.errors import ExecutorLost
from tests.cluster.cluster_house import Scenario, executors, expect_cancelled, registered

pytestmark = pytest.mark.cluster


class Shared:
    """A context that tests share, on a loop of its own."""

    def __init__(self, runner: asyncio.Runner, sc: SparkContext) -> None:
        self.runner = runner
        self.sc = sc

    def run(self, scenario: Scenario) -> Any:
        async def within() -> Any:
            async with asyncio.timeout(60):
                return await scenario(self.sc)

        return self.runner.run(within())


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    folder = tmp_path_factory.mktemp("cluster")
    conf = SparkConf({"minispark.local.dir": folder, "minispark.executorEnv.GREETING": "hello"})
    with asyncio.Runner() as runner:
        sc = SparkContext("local-cluster[2,1,512]", conf=conf)
        runner.run(sc.start())
        yield Shared(runner, sc)
        runner.run(sc.stop())
        sc.driver.assert_empty()
    assert executors() == []
    assert list(folder.iterdir()) == []


def test_words_are_counted_by_several_processes(shared: Shared) -> None:
    async def scenario(sc: SparkContext) -> None:
        await registered(sc)
        words = sc.parallelize(["a", "b", "a", "c"] * 100, 4)
        counts = await words.map(lambda word: (word, 1)).reduce_by_key(add).collect()
        assert sorted(counts) == [("a", 200), ("b", 100), ("c", 100)]
        assert len(set(await words.map_partitions(lambda _: [os.getppid()]).collect())) == 2

    shared.run(scenario)


@pytest.mark.scenario("DIS-002", "groupByKey")
def test_values_are_grouped_across_executors(shared: Shared) -> None:
    async def scenario(sc: SparkContext) -> None:
        pairs = sc.parallelize([(n % 3, n) for n in range(30)], 5)
        grouped = {key: sorted(values) for key, values in await pairs.group_by_key(2).collect()}
        assert grouped == {key: list(range(key, 30, 3)) for key in range(3)}

    shared.run(scenario)


@pytest.mark.scenario("DIS-002", "accumulators")
def test_accumulators_add_up_what_tasks_of_all_executors_add(shared: Shared) -> None:
    async def scenario(sc: SparkContext) -> None:
        total = sc.accumulator(0)
        await sc.parallelize(range(1, 101), 8).foreach(total.add)
        assert total.value == 5050

    shared.run(scenario)


@pytest.mark.scenario("DIS-001", "task raising a non-serialisable exception")
def test_an_exception_that_cannot_travel_is_told_in_words(shared: Shared) -> None:
    class Local(Exception):
        def __reduce__(self) -> Any:
            raise TypeError("not me")

    def fail(_: int) -> int:
        raise Local("for a reason")

    async def scenario(sc: SparkContext) -> None:
        with pytest.raises(UserCodeError, match="for a reason"):
            await sc.parallelize([1], 1).map(fail).collect()

    shared.run(scenario)


@pytest.mark.scenario("DIS-003", "repeatedly failing task → job error after 4")
def test_a_task_that_keeps_failing_fails_its_job_after_four_attempts(shared: Shared, tmp_path: Path) -> None:
    def fail(_: int) -> None:
        with open(tmp_path / "attempts", "a") as file:
            file.write("x")
        raise ValueError("again")

    async def scenario(sc: SparkContext) -> None:
        with pytest.raises(ValueError, match="again"):
            await sc.parallelize([1], 1).foreach(fail)
        assert (tmp_path / "attempts").read_text() == "xxxx"

    shared.run(scenario)


@pytest.mark.scenario("DIS-003", "failing by process crash, and crash with exit code 0 (16925)")
@pytest.mark.parametrize(
    ("crash", "words"), [(lambda _: os._exit(0), "code 0"), (lambda _: os.kill(os.getpid(), 9), "SIGKILL")]
)
def test_a_task_that_crashes_its_process_fails_its_job_and_not_the_executor(
    shared: Shared, crash: Callable[[int], None], words: str
) -> None:
    async def scenario(sc: SparkContext) -> None:
        before = {each.pid for each in executors()}
        with pytest.raises(ExecutorLost, match=words):
            await sc.parallelize([1], 1).foreach(crash)
        assert {each.pid for each in executors()} == before
        assert await sc.parallelize(range(10), 4).sum() == 45

    shared.run(scenario)


@pytest.mark.scenario("DIS-006")
def test_executors_get_the_variables_that_are_set_for_them(shared: Shared) -> None:
    async def scenario(sc: SparkContext) -> None:
        found = await sc.parallelize([1, 2], 2).map(lambda _: os.environ["GREETING"]).collect()
        assert found == ["hello", "hello"]

    shared.run(scenario)


def test_a_large_result_stays_with_its_executor_until_the_driver_takes_it(shared: Shared) -> None:
    async def scenario(sc: SparkContext) -> None:
        found = await sc.parallelize([3, 5], 2).map(lambda n: bytes(n * 1_000_000)).collect()
        assert [len(each) for each in found] == [3_000_000, 5_000_000]

    shared.run(scenario)


def test_what_cannot_be_pickled_is_refused_before_anything_runs(shared: Shared) -> None:
    async def scenario(sc: SparkContext) -> None:
        with pytest.raises(PicklingError):
            await sc.parallelize([1]).map(lambda _: sc.app_name).collect()

    shared.run(scenario)


@pytest.mark.scenario("JC-001", "count, async, cluster, FIFO")
@pytest.mark.scenario("JC-001", "take, async, cluster, FIFO")
@pytest.mark.parametrize("action", ["count", "take"])
def test_a_cancelled_action_ends_the_tasks_on_the_executors(shared: Shared, action: str, tmp_path: Path) -> None:
    expect_cancelled(shared.run, action, tmp_path)
