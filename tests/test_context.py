import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator

import pytest

from minispark.conf import SparkConf
from minispark.context import SparkContext
from minispark.errors import (
    ConfigurationError,
    ContextError,
    JobCancelled,
    MiniSparkError,
    PicklingError,
)
from minispark.rdd.ports import TaskContext
from minispark.testing.virtual_loop import VirtualWorld, run_virtual, settle
from tests.contexts import inline_conf, new_context, run_inline


def numbers(context: TaskContext, records: Iterator[int]) -> list[int]:
    return list(records)


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
            with pytest.raises(ContextError, match=r"made at contexts\.py:\d+\) is stopped"):
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


@pytest.mark.parametrize(("name", "ours"), [("textFile", "text_file"), ("defaultParallelism", "default_parallelism")])
def test_pysparks_names_are_answered_with_ours(name: str, ours: str) -> None:
    with pytest.raises(AttributeError, match=f"'SparkContext' object has no attribute '{name}': .* called '{ours}'$"):
        getattr(new_context(), name)
