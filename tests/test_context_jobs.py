"""SparkContext and its jobs: properties, pools, listeners, what is forgotten, an error of the scheduler."""

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from minispark.conf import SparkConf
from minispark.context import SparkContext
from minispark.errors import ConfigurationError, ContextError, JobFailed
from minispark.messages.listener import JobEnd, JobStart, ListenerEvent, StageCompleted, TaskEnd
from minispark.rdd.face import new_origin
from minispark.rdd.node import Node, Partition
from minispark.rdd.ports import TaskContext
from minispark.rdd.rdd import RDD
from minispark.testing.virtual_loop import run_virtual, settle
from tests.contexts import new_context, run_inline, session_directory


@pytest.mark.scenario("CTX-004")
def test_job_properties_are_inherited_by_asyncio_tasks_and_what_these_change_stays_theirs() -> None:
    seen: list[tuple[str | None, str | None]] = []

    async def child(sc: SparkContext, color: str, go: asyncio.Event) -> None:
        inherited = sc.get_local_property("color")
        sc.set_local_property("color", color)
        go.set()
        await asyncio.sleep(1)
        seen.append((inherited, sc.get_local_property("color")))

    async def scenario(sc: SparkContext) -> None:
        sc.set_local_property("color", "red")
        begun = [asyncio.Event(), asyncio.Event()]
        async with asyncio.TaskGroup() as children:
            for color, go in zip(("blue", "green"), begun, strict=True):
                children.create_task(child(sc, color, go))
            for go in begun:
                await go.wait()
            sc.set_local_property("color", "black")  # not seen by who was begun before
        seen.append((None, sc.get_local_property("color")))

    run_inline(scenario)
    assert seen == [("red", "blue"), ("red", "green"), (None, "black")]


def start_within_a_task(settings: dict[str, str]) -> str:
    """Start a context and run a job with it, on a loop of its own; return what came of it."""

    async def main() -> str:
        conf = SparkConf({"minispark.executor.pool": "thread", **settings})
        try:
            async with SparkContext("local[1]", conf=conf) as sc:
                return str(await sc.parallelize(range(10), 2).sum())
        except ContextError as error:
            return str(error)

    return asyncio.run(main())


@pytest.mark.cluster
@pytest.mark.scenario("CTX-008", "32160 context in executor refused / allowed by option")
def test_a_task_starts_a_context_of_its_own_only_if_that_is_allowed() -> None:
    async def main() -> list[str]:
        settings: list[dict[str, str]] = [{}, {"minispark.executor.allowSparkContext": "true"}]
        async with SparkContext("local[1]") as sc:
            return await sc.parallelize(settings, 2).map(start_within_a_task).collect()

    refused, allowed = asyncio.run(main())
    assert refused.startswith("a task cannot start a SparkContext")
    assert allowed == "45"


def test_a_job_property_reaches_its_tasks() -> None:
    def color(context: TaskContext, records: Iterator[int]) -> str | None:
        return context.get_local_property("color")

    async def scenario(sc: SparkContext) -> list[str | None]:
        sc.set_local_property("color", "red")
        assert sc.get_local_property("color") == "red"
        return await sc.run_job(sc.parallelize([1], 1), color)

    assert run_inline(scenario) == ["red"]


def test_listeners_see_jobs_stages_and_tasks() -> None:
    seen: list[ListenerEvent] = []

    class Recorder:
        def on_event(self, event: ListenerEvent) -> None:
            seen.append(event)

    async def scenario(sc: SparkContext) -> None:
        recorder = Recorder()
        sc.add_listener(recorder)
        await sc.parallelize(range(6), 3).map(lambda n: (n, 1)).group_by_key(2).collect()
        await settle()
        sc.remove_listener(recorder)
        await sc.parallelize([1]).count()

    run_inline(scenario)
    assert [type(event) for event in seen].count(JobStart) == 1
    assert [type(event) for event in seen].count(TaskEnd) == 5
    stages = [event.stage for event in seen if isinstance(event, StageCompleted)]
    assert [(stage.num_tasks, stage.is_map_stage) for stage in stages] == [(3, True), (2, False)]
    assert isinstance(seen[-1], JobEnd)


def test_a_union_of_rdds_is_one_rdd() -> None:
    async def scenario(sc: SparkContext) -> list[int]:
        with pytest.raises(ConfigurationError, match="at least one RDD"):
            sc.union([])
        with pytest.raises(ConfigurationError, match="takes RDDs, not 'a'"):
            sc.union(["a"])  # type: ignore[arg-type]
        return await sc.union([sc.parallelize([1]), sc.range(2, 4), sc.parallelize([9])]).collect()

    assert run_inline(scenario) == [1, 2, 3, 9]


@pytest.mark.scenario("SHF-005", "sort manager cleans files (serialised & deserialised path)")
@pytest.mark.parametrize("combined", [True, False])
def test_a_shuffle_that_nobody_refers_to_any_more_is_forgotten_with_its_files(combined: bool) -> None:
    async def scenario(sc: SparkContext) -> None:
        pairs = sc.parallelize("aab").map(lambda letter: (letter, 1))
        counts = pairs.reduce_by_key(lambda a, b: a + b) if combined else pairs.partition_by(2)
        assert sorted(await counts.collect()) == (
            [("a", 2), ("b", 1)] if combined else [("a", 1), ("a", 1), ("b", 1)]
        )
        files = session_directory(sc) / "shuffle"
        assert list(files.iterdir())
        del counts, pairs
        await settle()
        assert list(files.iterdir()) == []
        assert not sc.driver.work.of_shuffle

    run_inline(scenario)


def test_with_fair_pools_a_small_job_does_not_wait_for_a_large_one() -> None:
    ended: list[str] = []

    async def job(sc: SparkContext, pool: str, tasks: int) -> None:
        sc.set_pool(pool)
        await sc.parallelize(range(tasks), tasks).count()
        ended.append(pool)

    async def scenario(sc: SparkContext) -> None:
        sc.configure_pool("small", weight=2)
        async with asyncio.TaskGroup() as jobs:
            jobs.create_task(job(sc, "large", 100))
            jobs.create_task(job(sc, "small", 4))

    run_inline(scenario, scheduler_mode="fair")
    assert ended == ["small", "large"]


@pytest.mark.parametrize(
    ("mode", "values", "text"),
    [
        ("fifo", {}, "minispark.scheduler.mode=fair"),
        ("fair", {"weight": 0}, "weight of at least 1"),
        ("fair", {"mode": "none"}, "mode of fifo or fair"),
        ("fair", {"parent": "nowhere"}, "which does not exist"),
    ],
)
def test_a_pool_that_cannot_be_is_refused(mode: str, values: dict[str, Any], text: str) -> None:
    async def scenario(sc: SparkContext) -> None:
        with pytest.raises(ConfigurationError, match=text):
            sc.configure_pool("p", **values)

    run_inline(scenario, scheduler_mode=mode)


@pytest.mark.scenario("DAG-022")
def test_an_error_of_the_scheduler_itself_ends_all_jobs_and_stops_the_context(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("a bug")

    async def scenario() -> None:
        async with new_context() as sc:
            waiting = asyncio.ensure_future(sc.parallelize(range(1000), 500).count())
            await asyncio.sleep(0)
            monkeypatch.setattr(sc.driver.dag.state, "submit_job", fail)
            for job in (sc.parallelize([1]).count(), waiting):
                with pytest.raises(JobFailed, match="the DAG scheduler failed: RuntimeError: a bug"):
                    await job
            await settle()
            assert sc.is_stopped
            async with new_context() as another:
                assert await another.parallelize([1]).count() == 1

    run_virtual(scenario())
    assert "all jobs are given up" in caplog.text


class Slow(Node[int]):
    """An RDD that notes who computes its partitions."""

    seen: ClassVar[list[tuple[object, bool]]] = []

    def find_partitions(self) -> list[Partition]:
        in_scheduler = any(frame.filename.endswith("dag_scheduler.py") for frame in inspect.stack(context=0))
        self.seen.append((asyncio.current_task(), in_scheduler))
        return [Partition(0), Partition(1)]

    def compute(self, partition: Partition, context: TaskContext) -> Iterator[tuple[int, int]]:  # type: ignore[override]
        return iter([(partition.index, 1)])


@pytest.mark.scenario("SIT-002")
def test_the_partitions_of_a_whole_lineage_are_computed_by_the_caller_of_the_job() -> None:
    async def scenario(sc: SparkContext) -> None:
        slow = Slow(*new_origin(sc, "slow"))
        Slow.seen.clear()
        pairs: RDD[Any] = RDD(sc, slow)
        assert await pairs.partition_by(2, int).map(lambda pair: pair[0]).sum() == 1
        assert Slow.seen == [(asyncio.current_task(), False)]

    run_inline(scenario)
