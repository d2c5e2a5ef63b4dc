"""Reading over real sockets: the reader in this thread, as in a runner; the executors on a loop in another."""

import asyncio
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minispark.conf import SparkConf
from minispark.errors import FetchFailedError
from minispark.ids import ExecutorId, TaskId
from minispark.messages.task import BlockManagerId, FetchFailed
from minispark.rpc.env import RpcEnv
from minispark.rpc.world import SystemWorld
from minispark.shuffle.access import Shuffles
from minispark.shuffle.executor_data import ExecutorData
from minispark.shuffle.files import map_output_paths
from tests.rpc.peers import SECRET
from tests.shuffle.outputs import SHUFFLE, Attempt, Exchange, dependency, description, session

REDUCERS = 3
TASK = TaskId(900)
Pairs = list[tuple[Any, Any]]


class Cluster:
    """An executor that serves and one that reads, in a loop of a thread of their own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.conf = SparkConf({"minispark.shuffle.readHostLocal": False, "minispark.reducer.maxSizeInFlight": "64k"})
        self.run(self.start())

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine on the loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    async def start(self) -> None:
        """Start both executors."""
        self.envs = [RpcEnv(name, SystemWorld(), self.conf, secret=SECRET) for name in ("writes", "reads")]
        address = await self.envs[0].listen("127.0.0.1")
        self.there = replace(session(self.path / "there", "1"), host=address.host, port=address.port)
        self.here = session(self.path / "here", "2")
        os.mkdir(os.path.join(self.here.directory, "blocks"))
        self.served = ExecutorData(self.envs[0], self.there)
        self.reader = ExecutorData(self.envs[1], self.here)

    def ask(self, request: Any) -> Any:
        """Ask the reading executor, as a runner does."""
        answer: Future[Any] = Future()
        self.loop.call_soon_threadsafe(self.reader.fetcher.asked, TASK, request, answer.set_result)
        return answer.result(60)

    def read(self, exchange: Exchange, place: BlockManagerId, reducer: int) -> Pairs:
        """Read one reducer's pairs at an executor."""
        attempt = Attempt(description(TASK))
        shuffles = Shuffles(
            place, self.conf, lambda shuffle_id, epoch: exchange.table.packed(shuffle_id), attempt, self.ask
        )
        try:
            return list(shuffles.read(exchange.shuffle, reducer))
        finally:
            self.loop.call_soon_threadsafe(self.reader.fetcher.attempt_ended, TASK, True)

    async def stop(self) -> None:
        """Stop both executors."""
        self.reader.close()
        for env in reversed(self.envs):
            await env.close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    path = Path(tempfile.mkdtemp())
    made = Cluster(path)
    yield made
    made.run(made.stop())
    made.loop.call_soon_threadsafe(made.loop.stop)
    made.thread.join()
    made.loop.close()
    shutil.rmtree(path)


def written(cluster: Cluster, maps: list[Pairs]) -> Exchange:
    """Write map outputs at the serving executor."""
    exchange = Exchange(cluster.there, dependency(REDUCERS))
    for path in Path(cluster.there.directory, "shuffle").iterdir():
        path.unlink()
    exchange.write_all(*maps)
    return exchange


values = st.one_of(st.integers(), st.binary(max_size=200), st.integers(1, 60_000).map(lambda size: b"x" * size))
pairs = st.lists(st.tuples(st.one_of(st.integers(-5, 5), st.text(max_size=3)), values), max_size=12)


@settings(max_examples=25)
@given(st.lists(pairs, max_size=5))
def test_what_is_read_remotely_is_what_is_read_locally(cluster: Cluster, maps: list[Pairs]) -> None:
    exchange = written(cluster, maps)

    for reducer in range(REDUCERS):
        local = cluster.read(exchange, cluster.there, reducer)
        remote = cluster.read(exchange, cluster.here, reducer)
        assert sorted(map(repr, remote)) == sorted(map(repr, local))


@pytest.mark.scenario("HIS-005", "ShuffleBlockFetcherIterator (non-push)")
@pytest.mark.scenario("DIS-002", "map output larger than in-flight limit")
def test_outputs_far_over_the_limit_are_read(cluster: Cluster) -> None:
    exchange = written(cluster, [[(number, os.urandom(300_000))] for number in range(6)])

    for reducer in range(REDUCERS):
        assert cluster.read(exchange, cluster.here, reducer) == cluster.read(exchange, cluster.there, reducer)


@pytest.mark.scenario("HIS-005", "ShuffleBlockFetcherIterator (non-push)")
def test_own_outputs_those_of_the_host_and_those_of_others_are_read_together(cluster: Cluster) -> None:
    exchange = written(cluster, [[(0, "far")], [(0, "here")], [(0, "far too")], [(1, "nothing for 0")]])
    status = exchange.table.of(SHUFFLE).statuses[1]
    assert status is not None
    for source in map_output_paths(cluster.there.directory, SHUFFLE, status.map_id):
        shutil.move(source, Path(cluster.here.directory, "shuffle"))
    exchange.table.register(SHUFFLE, replace(status, location=cluster.here))

    apart = cluster.read(exchange, cluster.here, 0)
    cluster.conf.set("minispark.shuffle.readHostLocal", True)
    together = cluster.read(exchange, cluster.here, 0)
    cluster.conf.set("minispark.shuffle.readHostLocal", False)

    assert apart[0] == (0, "here"), "what can be opened comes first"
    assert sorted(apart) == [(0, "far"), (0, "far too"), (0, "here")]
    assert together == [(0, "far"), (0, "here"), (0, "far too")], "in the order of the maps"


def test_a_missing_output_names_the_map_to_run_again(cluster: Cluster) -> None:
    exchange = written(cluster, [[(0, "a")], [(0, "b")]])
    status = exchange.table.of(SHUFFLE).statuses[1]
    assert status is not None
    Path(map_output_paths(cluster.there.directory, SHUFFLE, status.map_id)[0]).unlink()

    with pytest.raises(FetchFailedError) as raised:
        cluster.read(exchange, cluster.here, 0)

    failure = raised.value.failure
    assert isinstance(failure, FetchFailed)
    assert (failure.location, failure.map_index, failure.only_this_output) == (cluster.there, 1, True)


def test_an_executor_that_is_gone_is_named_as_a_whole(cluster: Cluster) -> None:
    exchange = written(cluster, [[(0, "a")]])
    status = exchange.table.of(SHUFFLE).statuses[0]
    assert status is not None
    gone = replace(cluster.there, executor_id=ExecutorId("3"), port=1)
    exchange.table.register(SHUFFLE, replace(status, location=gone))

    with pytest.raises(FetchFailedError, match="PeerRefused") as raised:
        cluster.read(exchange, cluster.here, 0)

    failure = raised.value.failure
    assert isinstance(failure, FetchFailed)
    assert (failure.location, failure.map_index, failure.only_this_output) == (gone, 0, False)
