import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from minispark.conf import SparkConf
from minispark.context import SparkContext
from minispark.errors import (
    ConfigurationError,
    ContextError,
    JobCancelled,
    JobFailed,
    MiniSparkError,
    PicklingError,
)
from minispark.messages.listener import JobEnd, JobStart, ListenerEvent, StageCompleted, TaskEnd
from minispark.rdd.face import new_origin
from minispark.rdd.node import Node, Partition
from minispark.rdd.ports import TaskContext
from minispark.rdd.rdd import RDD
from minispark.testing.virtual_loop import VirtualWorld, run_virtual, settle
from tests.contexts import inline_conf, run_inline, session_directory


def numbers(context: TaskContext, records: Iterator[int]) -> list[int]:
    return list(records)


def new_context(master: str = "local[2]") -> SparkContext:
    return SparkContext(master, conf=inline_conf(), world=VirtualWorld())


# -- life ------------------------------------------------------------------------------------------------------------


@pytest.mark.scenario("CTX-001", "one active context")
def test_a_second_context_is_refused_and_told_where_the_first_was_made() -> None:
    async def scenario(sc: SparkContext) -> None:
        with pytest.raises(ContextError, match=r"active SparkContext already, made at contexts\.py:\d+"):
            await new_context().start()
        assert await sc.parallelize([1, 2]).count() == 2

    run_inline(scenario)


@pytest.mark.scenario("CTX-001", "new one after failed construction")
def test_after_a_failed_start_a_new_context_works() -> None:
    async def scenario() -> int:
        with pytest.raises(ConfigurationError, match="is not a master URL"):
            new_context("nowhere")
        broken = SparkContext("local[2]", conf=inline_conf(local_dir="missing"), world=VirtualWorld())
        with pytest.raises(MiniSparkError, match=r"minispark\.local\.dir"):
            await broken.start()
        async with new_context() as sc:
            return await sc.parallelize([1, 2]).count()

    assert run_virtual(scenario()) == 2


@pytest.mark.scenario("CTX-001", "getOrCreate")
def test_get_or_create_gives_the_active_context_or_a_new_one() -> None:
    async def scenario() -> None:
        conf = inline_conf().set_master("local[3]")
        first = await SparkContext.get_or_create(conf)
        assert await SparkContext.get_or_create(SparkConf().set_app_name("other")) is first
        assert first.default_parallelism == 3
        await first.stop()
        second = await SparkContext.get_or_create(conf)
        assert second is not first
        await second.stop()

    asyncio.run(scenario())


@pytest.mark.scenario("CTX-001", "stop many times")
def test_a_context_can_be_stopped_many_times_also_at_once() -> None:
    async def scenario() -> None:
        sc = await new_context().start()
        await asyncio.gather(sc.stop(), sc.stop())
        await sc.stop()
        async with new_context() as again:
            assert await again.parallelize([1]).count() == 1

    run_virtual(scenario())


def test_a_stopped_context_says_so() -> None:
    async def scenario() -> None:
        async with new_context() as sc:
            rdd = sc.parallelize([1])
        for use in (lambda: sc.parallelize([1]), lambda: sc.range(3), lambda: sc.text_file("x")):
            with pytest.raises(ContextError, match=r"made at test_context\.py:\d+\) is stopped"):
                use()
        with pytest.raises(ContextError, match="is stopped"):
            await rdd.count()
        with pytest.raises(ContextError, match="started or stopped before"):
            await sc.start()

    run_virtual(scenario())


def test_a_context_that_was_not_started_says_how_to_start_it() -> None:
    sc = SparkContext("local[2]", conf=inline_conf())
    with pytest.raises(ContextError, match="async with SparkContext"):
        sc.parallelize([1])
    assert "new" in repr(sc)


def test_a_context_belongs_to_the_loop_that_started_it() -> None:
    failures: list[BaseException] = []

    def use_elsewhere(sc: SparkContext) -> None:
        async def use() -> None:
            with pytest.raises(ContextError, match="belongs to another event loop") as raised:
                await sc.run_job(sc.parallelize([1]), numbers)
            failures.append(raised.value)

        asyncio.run(use())

    async def scenario(sc: SparkContext) -> None:
        thread = threading.Thread(target=use_elsewhere, args=(sc,))
        thread.start()
        thread.join()

    run_inline(scenario)
    assert len(failures) == 1


def test_a_stop_ends_running_jobs_with_an_error_that_says_so() -> None:
    async def scenario() -> None:
        sc = await new_context("local[1]").start()
        sc.driver.env.dispatcher.stop("Executor")  # type: ignore[union-attr]  # nothing will answer the launch
        job = asyncio.ensure_future(sc.parallelize([1]).count())
        await settle()
        await sc.stop()
        with pytest.raises(JobCancelled, match="the SparkContext was stopped"):
            await job

    run_virtual(scenario())


@pytest.mark.scenario("CTX-011", "default parallelism")
def test_the_default_parallelism_is_the_setting_or_the_cores() -> None:
    assert run_inline(parallelism, "local[3]") == (3, 2)
    assert run_inline(parallelism, "local[3]", default_parallelism=7) == (7, 2)
    assert run_inline(parallelism, "local") == (1, 1)


async def parallelism(sc: SparkContext) -> tuple[int, int]:
    return sc.default_parallelism, sc.default_min_partitions


def test_a_contexts_settings_are_its_own() -> None:
    async def scenario() -> None:
        conf = inline_conf()
        async with SparkContext("local[2]", "mine", conf, world=VirtualWorld()) as sc:
            conf.set_app_name("changed")
            assert (sc.app_name, sc.master) == ("mine", "local[2]")
            assert sc.application_id.startswith("local-")
            assert repr(sc) == "<SparkContext 'mine' on local[2], active>"

    run_virtual(scenario())


def test_a_context_cannot_be_pickled() -> None:
    with pytest.raises(PicklingError, match="only the driver makes RDDs"):
        SparkContext("local[2]", conf=inline_conf()).__reduce__()


def test_a_context_that_was_stopped_before_its_start_cannot_be_started() -> None:
    async def scenario() -> None:
        sc = new_context()
        await sc.stop()
        with pytest.raises(ContextError, match="started or stopped before"):
            await sc.start()
        async with new_context() as other:
            assert await other.parallelize([1]).count() == 1

    run_virtual(scenario())


def test_a_stop_from_another_loop_is_refused_and_changes_nothing() -> None:
    async def stop(sc: SparkContext) -> None:
        with pytest.raises(ContextError, match="belongs to another event loop"):
            await sc.stop()

    async def scenario(sc: SparkContext) -> int:
        thread = threading.Thread(target=lambda: asyncio.run(stop(sc)))
        thread.start()
        thread.join()
        return await sc.parallelize([1, 2]).count()

    assert run_inline(scenario) == 2


def test_a_context_whose_loop_has_ended_makes_room_for_a_new_one() -> None:
    async def forget_to_stop() -> SparkContext:
        return await new_context().start()

    async def scenario() -> int:
        async with new_context() as sc:
            return await sc.parallelize([1, 2]).count()

    forgotten = run_virtual(forget_to_stop())
    assert run_virtual(scenario()) == 2
    run_virtual(forgotten.stop())
    assert forgotten.is_stopped


def test_a_task_that_takes_more_cores_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"minispark\.task\.cpus = 3 is more than the 2 cores"):
        SparkContext("local[2]", conf=inline_conf(task_cpus=3))


@pytest.mark.parametrize(
    ("master", "setting", "failures"), [("local[2]", None, 1), ("local[2]", 3, 3), ("local[2,5]", 3, 5)]
)
def test_how_often_a_task_may_fail_is_said_by_the_master_or_the_setting(
    master: str, setting: int | None, failures: int
) -> None:
    conf = inline_conf() if setting is None else inline_conf(task_maxFailures=setting)
    assert SparkContext(master, conf=conf).max_failures == failures


def test_a_conf_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="must be a SparkConf"):
        SparkContext("local", conf={})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "use",
    [
        lambda sc: sc.application_id,
        lambda sc: sc.cancel_all_jobs(),
        lambda sc: sc.cancel_job_group("a"),
        lambda sc: sc.add_listener(None),
        lambda sc: sc.configure_pool("p"),
    ],
)
def test_a_context_that_was_not_started_is_of_no_use(use: Callable[[SparkContext], object]) -> None:
    with pytest.raises(ContextError, match="was not started"):
        use(SparkContext("local", conf=inline_conf()))


def test_other_threads_are_told_how_to_cancel() -> None:
    failures: list[ContextError] = []

    async def scenario(sc: SparkContext) -> None:
        def cancel() -> None:
            with pytest.raises(ContextError, match="call_soon_threadsafe") as raised:
                sc.cancel_all_jobs()
            failures.append(raised.value)

        thread = threading.Thread(target=cancel)
        thread.start()
        thread.join()

    run_inline(scenario)
    assert len(failures) == 1


def test_what_is_no_listener_is_refused() -> None:
    async def scenario(sc: SparkContext) -> None:
        with pytest.raises(ConfigurationError, match="on_event"):
            sc.add_listener(print)  # type: ignore[arg-type]

    run_inline(scenario)


def test_an_rdd_of_another_context_is_refused() -> None:
    async def scenario() -> None:
        async with new_context() as first:
            old = first.parallelize([1])
        async with new_context() as second:
            with pytest.raises(ContextError, match="another SparkContext"):
                await second.run_job(old, numbers)

    run_virtual(scenario())


def test_a_coroutine_that_cannot_be_spawned_is_closed() -> None:
    async def scenario() -> None:
        async with new_context() as sc:
            pass
        coroutine = settle()
        with pytest.raises(ContextError, match="is stopped"):
            sc.spawn(coroutine, name="late")
        assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED

    run_virtual(scenario())


# -- jobs ------------------------------------------------------------------------------------------------------------


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
