"""Spilling in real runners: skewed groups, kills and full disks, and nothing left behind."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from operator import add
from pathlib import Path
from typing import Any

import pytest

from minispark.context import SparkContext
from minispark.errors import StorageError
from minispark.messages.listener import ListenerEvent, StageCompleted
from minispark.messages.task import TaskMetrics
from tests.cluster.cluster_house import until
from tests.cluster.test_persisted_rdds import with_context
from tests.contexts import session_directory

pytestmark = pytest.mark.cluster

SMALL = {"memory__taskSize": "1m"}


def spill_files(pid: int) -> int:
    """Return how many nameless spill files a process has open."""
    links = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # what the listing itself had open
            links.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return sum("/spill_" in link for link in links)


def files_of(sc: SparkContext) -> list[str]:
    """Return what is in the shuffle's directory."""
    return os.listdir(session_directory(sc) / "shuffle")


class Stages:
    """Keeps the metrics of stages."""

    def __init__(self) -> None:
        self.seen: list[TaskMetrics] = []

    def on_event(self, event: ListenerEvent) -> None:
        if isinstance(event, StageCompleted):
            self.seen.append(event.stage.metrics)


@pytest.mark.scenario("EXT-004", "spill in cluster with many reducers")
@pytest.mark.scenario("EXT-003", "peak memory metric")
@pytest.mark.scenario("EXT-005", "peak memory")
def test_runners_spill_with_many_reducers_and_tell_their_metrics() -> None:
    stages = Stages()

    async def job(sc: SparkContext) -> Any:
        sc.add_listener(stages)
        pairs = sc.range(0, 200_000, num_slices=2).map(lambda n: (n % 40_000, n))
        sums = dict(await pairs.reduce_by_key(add, 100).collect())
        ordered = await pairs.sort_by(lambda pair: -pair[1], num_partitions=2).collect()
        return sums, ordered

    sums, ordered = with_context(job, **SMALL)

    assert sums == {key: sum(range(key, 200_000, 40_000)) for key in range(40_000)}
    assert [value for _, value in ordered] == list(range(199_999, -1, -1))
    assert sum(one.spilled_bytes for one in stages.seen) > 1 << 20
    assert all(one.peak_memory_bytes > 1 << 20 for one in stages.seen)


def test_a_group_larger_than_the_share_is_iterated_from_disk() -> None:
    def look(records: Iterator[tuple[int, Any]]) -> Iterator[Any]:
        for key, values in records:
            yield key, type(values).__name__, len(values), sum(values), sum(values)

    async def job(sc: SparkContext) -> Any:
        pairs = sc.range(0, 300_000, num_slices=2).map(lambda n: (0 if n % 100 else n, n))
        joined = pairs.join(sc.parallelize([(0, "a"), (100, "b")], 1), 2)
        return await pairs.group_by_key(2).map_partitions(look).collect(), await joined.count()

    groups, joined = with_context(job, **SMALL)

    skewed = [group for group in groups if group[1] == "DiskList"]
    total = sum(n for n in range(300_000) if n % 100)
    assert skewed == [(0, "DiskList", 297_001, total, total)]
    assert len(groups) == 3000
    assert joined == 297_002


@pytest.mark.parametrize("dies", [False, True])
def test_an_attempt_that_dies_while_it_spills_leaves_nothing(tmp_path: Path, dies: bool) -> None:
    mark = tmp_path / "died"

    def end(number: int) -> int:
        if number == 10_000 and not mark.exists():
            assert spill_files(os.getpid()) > 0
            mark.touch()
            if dies:
                os.kill(os.getpid(), signal.SIGKILL)
            raise ZeroDivisionError
        return number

    async def job(sc: SparkContext) -> Any:
        rdd = sc.range(0, 60_000, num_slices=1).map(lambda n: 60_000 - n).sort_by(lambda n: n, num_partitions=1)
        total = await rdd.map(end).sum()
        pids = set(await sc.parallelize(range(2), 2).map(lambda _: os.getpid()).collect())
        return total, [spill_files(pid) for pid in pids], files_of(sc)

    total, files, left = with_context(job, master="local[2,2]", **SMALL)

    assert total == sum(range(1, 60_001))
    assert set(files) == {0}
    assert left == []


def test_a_disk_that_is_full_fails_the_job_and_names_the_directory() -> None:
    def fill(records: Iterator[int]) -> Iterator[int]:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 18, resource.RLIM_INFINITY))
        yield from records

    async def job(sc: SparkContext) -> Any:
        wide = sc.range(0, 100_000, num_slices=1).map_partitions(fill)
        with pytest.raises(StorageError, match=r"cannot spill to /.*minispark-.*bytes so far"):
            await wide.sort_by(lambda n: -n, num_partitions=1).count()
        return files_of(sc)

    assert with_context(job, **SMALL) == []


def test_a_killed_attempt_closes_its_spill_file(tmp_path: Path) -> None:
    def forever(records: Iterator[int]) -> Iterator[int]:
        yield next(records)
        (tmp_path / "spilled").write_text(str(spill_files(os.getpid())))
        while True:
            pass

    async def job(sc: SparkContext) -> Any:
        rdd = sc.range(0, 60_000, num_slices=1).sort_by(lambda n: -n, num_partitions=1).map_partitions(forever)
        running = asyncio.ensure_future(rdd.count())
        await until(lambda: (tmp_path / "spilled").exists() or running.done())
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        pids = set(await sc.parallelize(range(8), 8).map(lambda _: os.getpid()).collect())
        return [spill_files(pid) for pid in pids]

    assert set(with_context(job, **SMALL)) == {0}
    assert (tmp_path / "spilled").read_text() == "1"
