"""Real runner processes: how they are born, what they see, how they end."""

import asyncio
import os
import re
import signal

import pytest
import uvloop

from minispark.errors import MiniSparkError
from minispark.executor.zygote import COLLECTION_THRESHOLDS
from minispark.messages.task import RunnerLost, TaskKilled
from tests.executor.pool_harness import Recorder, running_pool, value_of, with_pool

pytestmark = pytest.mark.cluster


def test_a_runner_is_a_clean_process_of_its_own_group_in_the_zygotes_session() -> None:
    async def scenario(recorder: Recorder) -> None:
        facts = await recorder.do("facts")

        assert facts["group"] == facts["pid"]
        assert facts["session"] == facts["ppid"] != os.getpid()
        assert "/dev/null" in facts["links"]
        assert facts["policy"] == os.SCHED_BATCH
        assert facts["gc"]
        assert tuple(facts["thresholds"]) == COLLECTION_THRESHOLDS
        assert facts["frozen"] > 1000
        assert facts["line_buffered"]
        assert facts["threads"] == 1
        assert facts["sigint"]
        assert facts["blocked"] == []
        assert facts["main"] is None

    with_pool(scenario)


def test_a_runner_imports_nothing_of_the_drivers_half() -> None:
    async def scenario(recorder: Recorder) -> None:
        modules = set((await recorder.do("facts"))["modules"])

        assert "asyncio" not in modules
        assert not {
            name for name in modules if name.startswith(("minispark.scheduler", "minispark.context", "uvloop"))
        }

    with_pool(scenario)


def test_a_runner_finds_modules_where_the_driver_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLOUR", "blue")

    async def scenario(recorder: Recorder) -> None:
        facts = await recorder.do("facts")

        assert facts["path"][0] == facts["directory"] == str(tmp_path)
        assert facts["environment"]["COLOUR"] == "blue"
        assert facts["environment"]["PYTHONHASHSEED"] == "0"
        assert facts["environment"].get("PYTHONPATH") == os.environ.get("PYTHONPATH")

    monkeypatch.syspath_prepend(os.getcwd())
    with_pool(scenario)


def test_forks_of_one_zygote_draw_different_numbers() -> None:
    async def scenario(recorder: Recorder) -> None:
        await recorder.until(lambda: len(recorder.idle) == 2)
        first, second = await recorder.do("chance"), await recorder.do("chance")

        assert first[0] != second[0]
        assert first[1] is not None
        assert first[1] != second[1]

    with_pool(scenario, slots=2, executor_preload="numpy")


def test_two_zygotes_hash_alike() -> None:
    found = []

    async def scenario(recorder: Recorder) -> None:
        found.append(await recorder.do("hashes"))

    with_pool(scenario)
    with_pool(scenario)

    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()", "starts a thread"),
        ("import no_such_module_of_anybody", "cannot be imported: ModuleNotFoundError"),
        ("raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
    ],
)
def test_a_module_that_cannot_be_preloaded_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str], source: str, complaint: str
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    with open(os.path.join(tmp_path, "odd_preload.py"), "w", encoding="utf-8") as file:
        file.write(source)

    async def scenario(recorder: Recorder) -> None:
        raise AssertionError("it must not start")

    with pytest.raises(MiniSparkError, match=f"odd_preload.*{complaint}"):
        with_pool(scenario, executor_preload="odd_preload")


@pytest.mark.parametrize(
    ("do", "argument", "code", "number", "text"),
    [
        ("leave", b"3", 3, 0, "exited with code 3"),
        ("leave", b"0", 0, 0, "exited with code 0"),
        ("crash", b"", None, signal.SIGSEGV, "SIGSEGV\nFatal Python error: Segmentation fault"),
        ("kill_self", b"9", None, signal.SIGKILL, "SIGKILL .the kernel does that when memory runs out"),
        ("kill_self", b"6", None, signal.SIGABRT, "SIGABRT\nFatal Python error: Aborted"),
        ("kill_self", b"15", None, signal.SIGTERM, "SIGTERM"),
        ("escape", b"", 70, 0, "(?s)Traceback.*MemoryError: no room left"),
        ("close_everything", b"", 70, 0, "exited with code 70"),
    ],
)
def test_a_crash_costs_the_attempt_and_the_slot_gets_a_fresh_runner(
    do: str, argument: bytes, code: int | None, number: int, text: str
) -> None:
    async def scenario(recorder: Recorder) -> None:
        before = (await recorder.do("facts"))["pid"]

        end = await recorder.end_of(await recorder.begin(do, argument))

        assert isinstance(end, RunnerLost)
        assert (end.exit_code, end.signal) == (code, number)
        assert re.search(text, end.text), end.text
        assert (await recorder.do("facts"))["pid"] != before

    with_pool(scenario)


def test_an_idle_runner_that_dies_is_replaced() -> None:
    async def scenario(recorder: Recorder) -> None:
        before = (await recorder.do("facts"))["pid"]

        os.kill(before, signal.SIGKILL)
        await recorder.until(lambda: recorder.losses)

        assert (await recorder.do("facts"))["pid"] != before

    with_pool(scenario)


def test_an_attempt_given_to_a_dying_runner_runs_in_the_next() -> None:
    async def scenario(recorder: Recorder) -> None:
        for _ in range(20):
            os.kill((await recorder.do("facts"))["pid"], signal.SIGKILL)
            assert await recorder.do("echo", b"still done") == b"still done"

    with_pool(scenario)


def test_the_death_of_the_zygote_costs_its_runners_and_another_one_starts() -> None:
    async def scenario(recorder: Recorder) -> None:
        zygote = (await recorder.do("facts"))["ppid"]
        running = await recorder.begin_long("spin")

        os.kill(zygote, signal.SIGKILL)

        end = await recorder.end_of(running)
        assert isinstance(end, RunnerLost)
        assert "the zygote was ended by SIGKILL" in end.text
        assert (await recorder.do("facts"))["ppid"] != zygote

    with_pool(scenario, slots=2)


def test_a_factory_that_fails_is_told_at_the_start() -> None:
    async def scenario(recorder: Recorder) -> None:
        raise AssertionError("it must not start")

    with pytest.raises(MiniSparkError, match="this factory is broken"):
        with_pool(scenario, factory="tests.executor.stand_in:StandInFailing")


def test_a_task_that_forks_and_comes_back_twice_gives_one_result() -> None:
    async def scenario(recorder: Recorder) -> None:
        for _ in range(10):
            assert await recorder.do("come_back_twice") == "the parent"

    with_pool(scenario)


def test_what_tasks_print_appears(capfd: pytest.CaptureFixture[str]) -> None:
    async def scenario(recorder: Recorder) -> None:
        await recorder.do("write", b"no newline")

    with_pool(scenario)

    assert capfd.readouterr() == ("no newline", "")


def test_the_pool_works_on_uvloop() -> None:
    async def run() -> None:
        async with running_pool(2) as recorder:
            data = os.urandom(5_000_000)
            assert await recorder.do("echo", data) == data
            killed = await recorder.begin_long("spin")
            recorder.kill(killed)
            assert isinstance(await recorder.end_of(killed), TaskKilled)
            assert isinstance(await recorder.end_of(await recorder.begin("leave", b"1")), RunnerLost)

    uvloop.run(run())


def test_asks_are_answered_in_any_thread() -> None:
    async def scenario(recorder: Recorder) -> None:
        assert await recorder.do("ask", b"1") == len(b"binary")
        assert await recorder.do("ask_in_thread", b"1") == [len(b"binary")] * 4

    with_pool(scenario)


def test_messages_of_fifty_megabytes_go_both_ways_while_the_loop_lives() -> None:
    async def scenario(recorder: Recorder) -> None:
        loop = asyncio.get_running_loop()
        gaps = [loop.time()]
        data = os.urandom(1 << 20) * 50
        task_id = await recorder.begin("echo", data)
        while task_id in recorder.slot_of:
            await asyncio.sleep(0)
            gaps.append(loop.time())
        assert value_of(await recorder.end_of(task_id), task_id) == data
        assert len(gaps) > 100

    with_pool(scenario)


def test_stop_under_load_reports_every_attempt_and_leaves_no_process() -> None:
    async def scenario(recorder: Recorder) -> None:
        zygote = (await recorder.do("facts"))["ppid"]
        running = [await recorder.begin_long("spin"), await recorder.begin_long("sleep")]

        await recorder.pool.stop(5.0)

        ends = [await recorder.end_of(task_id) for task_id in running]
        assert all(isinstance(end, TaskKilled) for end in ends)
        with pytest.raises(ProcessLookupError):
            os.killpg(zygote, 0)

    with_pool(scenario, slots=2)


def test_stop_does_not_wait_longer_than_its_deadline() -> None:
    async def scenario(recorder: Recorder) -> None:
        loop = asyncio.get_running_loop()
        stuck = await recorder.begin_deaf("swallow")
        begun = loop.time()

        await recorder.pool.stop(0.1)

        assert loop.time() - begun < 2
        assert isinstance(await recorder.end_of(stuck), TaskKilled)

    with_pool(scenario, executor_killGrace=30)


@pytest.mark.scenario("EXE-005", "concurrent accumulator use does not break heartbeat")
def test_the_executor_sees_how_far_a_task_is_while_it_counts() -> None:
    async def scenario(recorder: Recorder) -> None:
        task_id = await recorder.begin_long("count_up")
        slot = recorder.slot_of[task_id]
        seen = [recorder.pool.counters(slot) for _ in range(1000)]
        records = [counters["records_read"] for counters in seen if counters is not None]
        assert len(records) == 1000
        assert records == sorted(records)
        recorder.kill(task_id)
        await recorder.end_of(task_id)
        assert recorder.pool.counters(slot) is None

    with_pool(scenario)
