"""Executors that were told to go: what they leave is handed over, so that nothing is computed again."""

import asyncio
import gc
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minispark import SparkConf, SparkContext
from minispark.ids import ExecutorId, RddId
from minispark.messages.listener import ListenerEvent, StageSubmitted, TaskEnd
from minispark.messages.task import FetchFailed
from tests.cluster.cluster_house import mode_of, registered, until, with_cluster

pytestmark = pytest.mark.cluster

EXPECTED = [(key, 10) for key in range(4)]


def noting(folder: Path, go: Path | None = None) -> Callable[[int], int]:
    """Return a function that leaves a file each time it is called, and may wait for one then."""

    def note(n: int) -> int:
        (folder / f"computed-{n}-{time.monotonic_ns()}").touch()
        while go is not None and not go.exists():
            signal.sigtimedwait([], 0.01)
        return n

    return note


def computed(folder: Path) -> int:
    """Return how often it was called."""
    return len(list(folder.glob("computed-*")))


class Events:
    """Keeps the stages that are submitted and the fetch failures."""

    def __init__(self) -> None:
        self.stages: list[StageSubmitted] = []
        self.fetch_failures: list[FetchFailed] = []

    def on_event(self, event: ListenerEvent) -> None:
        if isinstance(event, StageSubmitted):
            self.stages.append(event)
        elif isinstance(event, TaskEnd) and isinstance(event.reason, FetchFailed):
            self.fetch_failures.append(event.reason)


async def gone(sc: SparkContext, told: list[str]) -> None:
    """Wait until executors have ended."""
    table = mode_of(sc).endpoint.table
    await until(lambda: not set(told) & set(table.executors))


def settings(folder: Path, **more: Any) -> SparkConf:
    values = {"local.dir": folder, "decommission.enabled": True} | more
    return SparkConf({f"minispark.{key}": value for key, value in values.items()})


@pytest.mark.scenario("DEC-004", "both kinds")
@pytest.mark.scenario("DEC-005", "both")
@pytest.mark.scenario("DEC-005", "36782 no deadlock when map statuses go by broadcast")
@pytest.mark.scenario("DEC-005", "46957 migrated files cleaned")
@pytest.mark.scenario("DEC-005", "running task caching data (after task start, after task end)")
@pytest.mark.parametrize("when", ["after task start", "after task end"])
def test_map_outputs_and_persisted_partitions_are_handed_over_and_cleaned_where_they_are(
    when: str, tmp_path: Path
) -> None:
    async def scenario(sc: SparkContext) -> None:
        await registered(sc)
        go = tmp_path / "go"
        kept = sc.parallelize(range(40), 4).map(noting(tmp_path, go)).persist()
        grouped = kept.map(lambda n: (n % 4, n)).group_by_key(2).map_values(len)
        job = asyncio.ensure_future(grouped.collect())
        await until(lambda: computed(tmp_path) >= 2)
        told = await sc.decommission_executors(sc.executor_ids()[:1]) if when == "after task start" else []
        go.touch()
        assert sorted(await job) == EXPECTED
        await gone(sc, told or await sc.decommission_executors(sc.executor_ids()[:1]))

        assert sorted(await grouped.collect()) == EXPECTED
        assert await kept.sum() == sum(range(40))

        assert computed(tmp_path) == 40, "nothing was computed again"
        await until(lambda: len(list(tmp_path.rglob("*.data"))) == 4)
        del grouped, kept, job
        gc.collect()
        await until(lambda: not list(tmp_path.rglob("*.data")))

    with_cluster(scenario, settings(tmp_path))


@pytest.mark.scenario("BLK-010", "broadcast race (34193)")
def test_a_task_reads_a_broadcast_that_its_executor_fetches_after_it_was_told_to_go(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        await registered(sc)
        table, go = sc.broadcast({n: n * n for n in range(100)}), tmp_path / "go"
        noted = noting(tmp_path, go)
        squares = sc.parallelize(range(40), 4).map(noted).map(lambda n: table.value[n])
        job = asyncio.ensure_future(squares.collect())
        await until(lambda: computed(tmp_path) >= 2)
        told = await sc.decommission_executors(sc.executor_ids()[:1])
        assert len(told) == 1
        go.touch()
        assert await job == [n * n for n in range(40)]
        await gone(sc, told)
        assert computed(tmp_path) == 40, "no attempt failed"

    with_cluster(scenario, settings(tmp_path))


@pytest.mark.scenario("DEC-005", "integration: respects switch")
def test_where_nothing_is_handed_over_it_is_computed_again(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        await registered(sc)
        kept = sc.parallelize(range(40), 4).map(noting(tmp_path)).persist()
        assert await kept.sum() == sum(range(40))
        rows = sc.driver.block_manager_master.locations(RddId(kept.id)) or ()
        held = {holder.executor_id for row in rows for holder in row}
        assert len(held) == 2
        await gone(sc, await sc.decommission_executors(sc.executor_ids()[:1]))
        assert await kept.sum() == sum(range(40))
        assert computed(tmp_path) > 40

    with_cluster(scenario, settings(tmp_path, **{"storage.decommission.enabled": False}))


@pytest.mark.scenario("DEC-003", "shuffle output regenerated even with a shuffle service when the host goes")
def test_what_a_shuffle_service_keeps_is_written_again_when_its_host_goes(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        await registered(sc)
        grouped = sc.parallelize(range(40), 4).map(lambda n: (n % 4, n)).group_by_key(2).map_values(len)
        assert sorted(await grouped.collect()) == EXPECTED
        cluster = mode_of(sc).cluster
        assert cluster is not None
        worker = cluster.workers[0].worker
        assert worker is not None
        names = list(mode_of(sc).endpoint.table.executors)
        worker.decommission()
        await until(lambda: len(mode_of(sc).endpoint.table.executors) == 1)
        assert len(names) == 2

        events = Events()
        sc.add_listener(events)
        assert sorted(await grouped.collect()) == EXPECTED
        await until(lambda: len(events.stages) == 2)
        assert [event.stage.is_map_stage for event in events.stages] == [True, False]

    more = {"shuffle.service.enabled": True, "storage.decommission.enabled": False}
    with_cluster(scenario, settings(tmp_path, **more))


@pytest.mark.scenario("DEC-003", "fetch failure of stalled / eager worker leads to rerun")
@pytest.mark.parametrize("is_stalled", [True, False])
def test_readers_of_what_went_with_a_decommissioned_executor_have_it_written_again(
    is_stalled: bool, tmp_path: Path
) -> None:
    wait = noting(tmp_path, tmp_path / "go")

    def count(groups: Iterator[tuple[int, Iterable[int]]]) -> list[tuple[int, int]]:
        if is_stalled:
            wait(0)  # before anything is read
        found = [(key, len(list(values))) for key, values in groups]
        wait(1)
        return found

    async def scenario(sc: SparkContext) -> None:
        await registered(sc)
        events = Events()
        sc.add_listener(events)
        pairs = sc.parallelize(range(40), 4).map(lambda n: (n % 4, n))
        job = asyncio.ensure_future(pairs.group_by_key(4).map_partitions(count).collect())
        await until(lambda: computed(tmp_path) >= 2)
        going = sc.executor_ids()[0]
        outputs = Path(mode_of(sc).endpoint.locations[ExecutorId(going)].directory)
        await gone(sc, await sc.decommission_executors([going]))
        await until(lambda: not outputs.exists())
        (tmp_path / "go").touch()

        assert sorted(await job) == EXPECTED

        await until(lambda: events.fetch_failures)
        await until(lambda: len(events.stages) >= 4)
        assert [event.stage.is_map_stage for event in events.stages[:4]] == [True, False, True, False]

    more = {"storage.decommission.enabled": False, "executor.decommission.forceKillTimeout": "100ms"}
    with_cluster(scenario, settings(tmp_path, **more).set("minispark.shuffle.io.maxRetryTime", "100ms"))
