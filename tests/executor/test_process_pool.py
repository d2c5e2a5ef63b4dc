"""Tests of what the pool promises its executor, with real runners; more of them are in `tests/cluster`."""

import asyncio

import pytest

from minispark.conf import SparkConf
from minispark.executor import process_pool
from minispark.executor.process_pool import ProcessPool, loss_text
from minispark.ids import ExecutorId
from minispark.messages.runner import AnswerFailed, RunnerExited
from minispark.messages.task import BlockManagerId
from minispark.rpc.world import SystemWorld
from tests.executor.pool_harness import Recorder, task, with_pool


@pytest.mark.cluster
def test_every_slot_runs_its_tasks_and_each_result_is_its_own() -> None:
    async def scenario(recorder: Recorder) -> None:
        await recorder.until(lambda: len(recorder.idle) == 2)

        assert [await recorder.do("echo", b"%d" % number) for number in range(50)] == [
            b"%d" % number for number in range(50)
        ]
        assert recorder.pool.slots == 2

    with_pool(scenario, slots=2)


@pytest.mark.cluster
def test_only_long_tasks_are_reported_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_pool, "STARTED_AFTER_S", 3600.0)  # the pool looks when this test says so

    async def scenario(recorder: Recorder) -> None:
        short = await recorder.begin("echo")
        recorder.pool.tick()
        await recorder.end_of(short)
        recorder.pool.tick()
        long = await recorder.begin("count_up")
        recorder.pool.tick()
        await recorder.until_counting(long)
        recorder.pool.tick()

        assert recorder.started == [long]
        counters = recorder.pool.counters(0)
        assert counters is not None
        assert counters["records_read"] > 0
        recorder.kill(long)
        await recorder.end_of(long)
        assert recorder.pool.counters(0) is None

    with_pool(scenario)


@pytest.mark.cluster
def test_an_answer_goes_to_the_asker_once() -> None:
    async def scenario(recorder: Recorder) -> None:
        recorder.answer = None
        asking = await recorder.begin("ask", b"1")
        await recorder.until(lambda: recorder.asked)
        slot, ask_id, _ = recorder.asked[0]

        recorder.pool.answer(slot, ask_id, AnswerFailed("first"))
        recorder.pool.answer(slot, ask_id, AnswerFailed("second"))
        recorder.pool.answer(slot, 999, AnswerFailed("to nobody"))

        await recorder.end_of(asking)
        assert await recorder.do("echo", b"in order") == b"in order"

    with_pool(scenario)


@pytest.mark.cluster
def test_a_second_stop_waits_for_the_first_and_a_task_after_it_is_dropped() -> None:
    async def scenario(recorder: Recorder) -> None:
        await recorder.do("echo")

        await asyncio.gather(recorder.pool.stop(1.0), recorder.pool.stop(1.0))
        recorder.pool.run(0, task(99))

        assert recorder.pool.places[0].task is None

    with_pool(scenario)


def test_a_pool_that_was_never_started_stops_at_once() -> None:
    pool = ProcessPool(
        1, SparkConf(environment={}), BlockManagerId(ExecutorId("driver"), "localhost", 0, ""), SystemWorld()
    )

    with pytest.raises(StopIteration):  # it ends before it waits for anything
        pool.stop(1.0).send(None)


@pytest.mark.parametrize(
    ("exited", "text"),
    [
        (RunnerExited(1, 3, 0, ""), "the runner process exited with code 3"),
        (RunnerExited(1, None, 11, "stack"), "the runner process was ended by SIGSEGV\nstack"),
        (RunnerExited(1, None, 0, "it could not be forked"), "it could not be forked"),
    ],
)
def test_an_end_is_put_into_words(exited: RunnerExited, text: str) -> None:
    assert loss_text(exited) == text
