import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from minispark.context import SparkContext
from minispark.errors import ConfigurationError, JobCancelled
from minispark.ids import JobId, StageId, TaskId
from minispark.messages.listener import JobEnd, JobStart, ListenerEvent
from minispark.testing.virtual_loop import settle
from tests.contexts import run_inline


async def long_job(sc: SparkContext, prepare: Callable[[], None] = lambda: None) -> int:
    prepare()
    return await sc.parallelize(range(1000), 500).count()


async def started(*jobs: Awaitable[int]) -> list["asyncio.Future[int]"]:
    futures: list[asyncio.Future[int]] = [asyncio.ensure_future(job) for job in jobs]
    for _ in range(3):
        await asyncio.sleep(0)
    return futures


async def outcomes(jobs: list["asyncio.Future[int]"]) -> list[Any]:
    results = await asyncio.gather(*jobs, return_exceptions=True)
    return [str(result) if isinstance(result, JobCancelled) else result for result in results]


@pytest.mark.scenario("JC-003", "job group cancel")
@pytest.mark.scenario("JC-003", "with reason")
def test_a_group_is_cancelled_with_a_reason_and_others_go_on() -> None:
    async def scenario(sc: SparkContext) -> None:
        jobs = await started(*(long_job(sc, lambda g=g: sc.set_job_group(g)) for g in "ab"), long_job(sc))  # type: ignore[misc]
        sc.cancel_job_group("a", "not needed")
        assert await outcomes(jobs) == ["not needed", 1000, 1000]

    run_inline(scenario)


@pytest.mark.scenario("CTX-003", "cancel job group keeps context")
def test_a_group_is_cancelled_with_the_jobs_that_are_still_to_come() -> None:
    async def scenario(sc: SparkContext) -> None:
        sc.set_job_group("a")
        jobs = await started(long_job(sc))
        sc.cancel_job_group("a", "for good", cancel_future_jobs=True)
        assert await outcomes([*jobs, *await started(long_job(sc))]) == ["for good"] * 2
        sc.set_job_group("b")
        assert await long_job(sc) == 1000

    run_inline(scenario)


@pytest.mark.scenario("JC-004", "job tags")
def test_jobs_are_cancelled_by_tag_and_tags_belong_to_the_task_that_set_them() -> None:
    async def tagged(sc: SparkContext, *add: str, remove: str = "") -> int:
        assert sc.get_job_tags() == set()
        for tag in add:
            sc.add_job_tag(tag)
        if remove:
            sc.remove_job_tag(remove)
        assert sc.get_job_tags() == {*add} - {remove}
        return await long_job(sc)

    async def scenario(sc: SparkContext) -> None:
        jobs = await started(
            tagged(sc, "one"),
            tagged(sc, "one", "two", "one", "two"),
            tagged(sc, "two"),
            tagged(sc, "one", "two", "two", remove="two"),
        )
        sc.cancel_jobs_with_tag("two", "slow")
        assert await outcomes(jobs[1:3]) == ["slow", "slow"]
        assert not jobs[0].done()
        assert not jobs[3].done()
        sc.cancel_jobs_with_tag("one", "slow too")
        assert await outcomes(jobs) == ["slow too", "slow", "slow", "slow too"]

    run_inline(scenario)


def test_all_tags_can_be_taken_away() -> None:
    async def scenario(sc: SparkContext) -> None:
        sc.add_job_tag("one")
        sc.add_job_tag("two")
        sc.clear_job_tags()
        assert sc.get_job_tags() == set()
        assert sc.get_local_property("minispark.job.tags") is None

    run_inline(scenario)


@pytest.mark.parametrize("tag", ["", "foo,bar", None, 7])
def test_what_cannot_be_a_tag_is_refused(tag: Any) -> None:
    async def scenario(sc: SparkContext) -> None:
        for use in (sc.add_job_tag, sc.remove_job_tag, sc.cancel_jobs_with_tag):
            with pytest.raises(ConfigurationError, match="job tag is a text that is not empty and has no comma"):
                use(tag)

    run_inline(scenario)


@pytest.mark.scenario("JC-004", "inherited group")
def test_a_group_is_inherited_by_the_tasks_that_a_caller_starts() -> None:
    async def scenario(sc: SparkContext) -> None:
        sc.set_job_group("a", "to be cancelled")
        jobs = await started(long_job(sc))
        sc.clear_job_group()
        sc.cancel_job_group("a", "not needed")
        assert await outcomes([*jobs, *await started(long_job(sc))]) == ["not needed", 1000]
        assert sc.get_local_property("minispark.job.interruptOnCancel") is None

    run_inline(scenario)


@pytest.mark.scenario("CTX-003", "custom cancel reasons for stage and job")
@pytest.mark.parametrize("what", ["stage", "job"])
def test_a_stage_or_a_job_is_cancelled_by_the_number_that_listeners_see(what: str) -> None:
    async def scenario(sc: SparkContext) -> None:
        starts: asyncio.Future[JobStart] = asyncio.get_running_loop().create_future()

        class Recorder:
            def on_event(self, event: ListenerEvent) -> None:
                if isinstance(event, JobStart):
                    starts.set_result(event)

        sc.add_listener(Recorder())
        jobs = await started(long_job(sc))
        start = await starts
        if what == "stage":
            sc.cancel_stage(start.stages[0].stage_id, "too slow")
        else:
            sc.cancel_job(start.job_id, "too slow")
        assert await outcomes(jobs) == ["too slow"]

    run_inline(scenario)


def test_cancelling_what_is_not_known_does_nothing_but_warn(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(sc: SparkContext) -> int:
        sc.cancel_job(JobId(77))
        sc.cancel_job_group("nobody")
        sc.cancel_jobs_with_tag("nothing")
        sc.cancel_stage(StageId(77))
        sc.cancel_all_jobs()
        assert await sc.kill_task_attempt(TaskId(77)) is False
        await settle()
        return await long_job(sc)

    with caplog.at_level(logging.WARNING):
        assert run_inline(scenario) == 1000
    assert [word for word in ("'nobody'", "'nothing'", "stage 77") if word not in caplog.text] == []


@pytest.mark.scenario("JC-007", "FutureAction cancel with reason")
def test_the_reason_given_to_a_future_is_the_reason_of_its_jobs_end() -> None:
    async def scenario(sc: SparkContext) -> None:
        ends: list[JobEnd] = []

        class Recorder:
            def on_event(self, event: ListenerEvent) -> None:
                if isinstance(event, JobEnd):
                    ends.append(event)

        sc.add_listener(Recorder())
        (job,) = await started(long_job(sc))
        job.cancel("the page was closed")
        with pytest.raises(asyncio.CancelledError, match="the page was closed"):
            await job
        await settle()
        assert [(end.result, end.failure) for end in ends] == [("cancelled", "the page was closed")]

    run_inline(scenario)
