"""Real clusters for tests, their executors' processes, and jobs that are cancelled there."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from minispark import SparkConf, SparkContext
from minispark.cluster_mode import ClusterMode
from minispark.errors import JobCancelled
from tests.cluster.daemons import executors_of

__all__ = ["Scenario", "executors", "expect_cancelled", "mine", "mode_of", "registered", "until", "with_cluster"]

Scenario = Callable[[SparkContext], Awaitable[Any]]


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that other processes do; the test's timeout bounds it."""
    while not condition():  # noqa: ASYNC110  # what other processes do sets no event here
        await asyncio.sleep(0.01)


def executors() -> list[psutil.Process]:
    """Return this process's executor processes."""
    return executors_of(psutil.Process())


def mode_of(sc: SparkContext) -> ClusterMode:
    assert isinstance(sc.driver.mode, ClusterMode)
    return sc.driver.mode


async def registered(sc: SparkContext, count: int = 2) -> None:
    """Wait until so many executors can take tasks."""
    table = mode_of(sc).endpoint.table
    await until(lambda: sum(each.is_active for each in table.executors.values()) >= count)


def mine(sc: SparkContext) -> list[int]:
    """Return the processes of a context's own executors."""
    cluster = mode_of(sc).cluster
    assert cluster is not None
    tenants = [process.worker.tenants for process in cluster.workers if process.worker is not None]
    runners = [runner for each in tenants for runner in each.executors.values()]
    return [runner.process.pid for runner in runners if runner.process is not None]


def with_cluster(scenario: Scenario, conf: SparkConf, master: str = "local-cluster[2,1,512]") -> None:
    """Run a scenario with a cluster of its own; assert that nothing is left."""

    async def run() -> None:
        async with asyncio.timeout(60), SparkContext(master, conf=conf) as sc:
            await scenario(sc)
        sc.driver.assert_empty()

    asyncio.run(run())
    assert executors() == []


def expect_cancelled(run: Callable[[Scenario], Any], action: str, folder: Path) -> None:
    """Start an action that would take for ever, cancel it, and see that its tasks end."""

    def wait(n: int) -> int:
        try:  # first of all: the kill may come as soon as there is a file
            (folder / f"started-{n}").touch()
            while True:
                signal.sigtimedwait([], 0.01)
        finally:
            (folder / f"ended-{n}").touch()

    def numbers(of: str) -> set[str]:
        return {path.name.removeprefix(of) for path in folder.glob(f"{of}-*")}

    async def scenario(sc: SparkContext) -> None:
        rdd = sc.parallelize(range(2), 2).map(wait)
        job = asyncio.ensure_future(rdd.count() if action == "count" else rdd.take(2))
        await until((folder / "started-0").exists)
        job.cancel()
        with pytest.raises((asyncio.CancelledError, JobCancelled)):
            await job
        await until(lambda: numbers("started") <= numbers("ended"))  # one that was just about to start may end only
        assert await sc.parallelize(range(4), 4).count() == 4

    run(scenario)
