"""Everything at once, many times over: exact answers, no hang, nothing left. With MINISPARK_SOAK=1 far longer.

A hang ends by the time limit of the test run, which shows where. The pauses are the stress: what happens after them
meets the engine at a random moment; none is longer than half a second.
"""

import asyncio
import contextlib
import gc
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from minispark.conf import SparkConf
from minispark.context import SparkContext
from minispark.errors import ContextError, JobCancelled, JobFailed
from minispark.messages.listener import ListenerEvent, TaskEnd
from minispark.messages.task import Success
from tests.cluster.stress import Ledger, Stress, factor

pytestmark = pytest.mark.cluster

POOLS = ("inline", "thread", "process")
STYLES = ("idle", "stopped while a job runs", "stop cancelled twice", "start cancelled")

SCRIPT = """
import asyncio, sys, time
from minispark import SparkContext

def slow(n):
    time.sleep(0.005)
    return n % 3, n

async def main():
    while True:
        async with SparkContext("local[2]") as sc:
            print("started", flush=True)
            await sc.parallelize(range(40), 8).map(slow).reduce_by_key(lambda a, b: a + b).collect()

asyncio.run(main())
"""


def conf_of(pool: str, folder: Path) -> SparkConf:
    return SparkConf({"minispark.executor.pool": pool, "minispark.local.dir": str(folder)})


@pytest.fixture(autouse=True)
def nothing_else_to_look_at() -> Iterator[None]:
    """Looking for garbage passes over what was there before the test: all the modules of a test run."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


class KillsRunners:
    """Kills a runner whenever so many attempts have succeeded: on a slow machine jobs get on between two kills, too.

    Args:
        rng: draws the runner, and how many attempts.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.left = 1
        self.killed = 0

    def on_event(self, event: ListenerEvent) -> None:
        match event:
            case TaskEnd(reason=Success()):
                self.left -= 1
        if not self.left:
            self.left = self.rng.randrange(1, 60)
            self.kill()

    def kill(self) -> None:
        runners = [runner for zygote in psutil.Process().children() for runner in zygote.children()]
        with contextlib.suppress(psutil.Error, IndexError):  # it has ended; there is none
            self.rng.choice(runners).kill()
            self.killed += 1


@pytest.mark.parametrize("pool", POOLS)
def test_random_jobs_with_failures_and_cancels_give_exact_answers_and_leave_nothing(
    pool: str, tmp_path: Path
) -> None:
    async def run() -> None:
        before = Ledger.now()
        async with SparkContext("local[2,3]", conf=conf_of(pool, tmp_path)) as sc:
            stress = Stress(sc, seed=1)
            await stress.run(factor(300, 20_000))
            await stress.expect_no_files_but_the_shared()
        sc.driver.assert_empty()
        assert {"NoneType", "CancelledError"} <= stress.outcomes.keys()
        before.expect_unchanged(tmp_path)

    asyncio.run(run())


def test_jobs_survive_runners_that_are_killed_at_random(tmp_path: Path) -> None:
    async def run() -> None:
        before = Ledger.now()
        async with SparkContext("local[2,20]", conf=conf_of("process", tmp_path)) as sc:
            sc.add_listener(killing := KillsRunners(random.Random(2)))
            stress = Stress(sc, seed=2, at_once=6)
            await stress.run(factor(400, 20_000))
            await stress.expect_no_files_but_the_shared()
        sc.driver.assert_empty()
        assert killing.killed > 10
        before.expect_unchanged(tmp_path)

    asyncio.run(run())


async def live_once(conf: SparkConf, style: str, rng: random.Random) -> None:
    """Start a context, and stop it in one of the ways that programs do."""
    sc = SparkContext("local[2]", conf=conf)
    starting = asyncio.ensure_future(sc.start())
    if style == "start cancelled":
        await asyncio.sleep(0.1 * rng.random())
        starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    job = None
    if style in STYLES[1:3]:
        job = asyncio.ensure_future(Stress(sc, rng.randrange(1000), cancel_rate=0).run(10))
        await asyncio.sleep(0.03 * rng.random())
    for _ in range(2 if style == "stop cancelled twice" else 0):
        stopping = asyncio.ensure_future(sc.stop())
        await asyncio.sleep(0.01 * rng.random())
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)
    await sc.stop()
    if job is not None:
        with contextlib.suppress(ExceptionGroup):  # which of the stop's errors a job gets depends on where it is
            try:
                await job
            except* (JobCancelled, JobFailed, ContextError):
                pass


@pytest.mark.parametrize("pool", POOLS)
def test_contexts_started_and_stopped_in_every_way_leave_nothing(pool: str, tmp_path: Path) -> None:
    async def run() -> None:
        rng = random.Random(3)
        await live_once(conf_of(pool, tmp_path), "idle", rng)
        before = Ledger.now()
        for number in range(factor(8 if pool == "process" else 24, 200)):
            await live_once(conf_of(pool, tmp_path), STYLES[number % len(STYLES)], rng)
            before.expect_unchanged(tmp_path)

    asyncio.run(run())


def test_thousands_of_jobs_leak_neither_objects_nor_memory_nor_descriptors(tmp_path: Path) -> None:
    rounds = factor(20, 100)

    async def run() -> list[tuple[int, int, int]]:
        samples = []
        # The binaries that an executor holds for later go up and down by hundreds of objects; here it holds few.
        conf = conf_of("process", tmp_path).set("minispark.executor.binaryCacheSize", "32k")
        async with SparkContext("local[2]", conf=conf) as sc:
            stress = Stress(sc, seed=4)
            for _ in range(rounds):
                await stress.run(100)
                fds = Ledger.now().fds
                samples.append((len(gc.get_objects()), fds, psutil.Process().memory_info().rss))
            sc.driver.assert_empty()
        return samples

    samples = asyncio.run(run())
    # What is held for later use (of 1,000 jobs) grows to its bound, then goes up and down: the least counts.
    span = rounds // 4
    early, late = (
        [min(column) for column in zip(*part, strict=True)] for part in (samples[2 * span : -span], samples[-span:])
    )
    assert late[0] - early[0] < 100 * span // 4, f"objects: {samples}"
    # A runner that is being replaced has none: the most there were is the measure.
    assert late[1] <= max(fds for _, fds, _ in samples[2 * span : -span]), f"descriptors: {samples}"
    assert late[2] - early[2] < 2_000_000, f"memory: {samples}"


def test_ctrl_c_at_any_moment_ends_a_driver_and_leaves_nothing(tmp_path: Path) -> None:
    rng = random.Random(5)
    environment = os.environ | {"MINISPARK_LOCAL_DIR": str(tmp_path), "PYTHONPATH": os.getcwd()}
    for _ in range(factor(4, 100)):
        with subprocess.Popen(
            [sys.executable, "-c", SCRIPT], env=environment, text=True, process_group=0,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as script:  # fmt: skip
            assert script.stdout is not None
            assert script.stdout.readline() == "started\n"
            time.sleep(0.4 * rng.random())  # a random moment is what is tested
            family = psutil.Process(script.pid).children(recursive=True)
            os.killpg(script.pid, signal.SIGINT)
            _, errors = script.communicate(timeout=60)
        assert errors.strip().endswith("KeyboardInterrupt"), errors
        assert "never" not in errors, errors  # awaited, retrieved
        assert psutil.wait_procs(family, timeout=60)[1] == []
        assert list(tmp_path.iterdir()) == []
