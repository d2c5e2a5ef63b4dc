from collections.abc import Callable
from pathlib import Path

import pytest

from minispark.errors import MiniSparkError
from minispark.ids import BroadcastId, ExecutorId
from minispark.messages.distribution import (
    BroadcastFacts,
    BroadcastHolder,
    FetchGivenUp,
    LocateBroadcast,
    RemoveBroadcast,
)
from minispark.messages.task import BlockManagerId
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.storage.broadcast_file import checksums_of
from minispark.storage.broadcast_master import BroadcastMaster
from minispark.storage.broadcast_store import BroadcastStore
from minispark.testing.fakes import RecordingContext, RecordingRef
from minispark.testing.virtual_loop import settle
from tests.rpc.peers import with_env

ID = BroadcastId(3)
DRIVER = BlockManagerId(ExecutorId("driver"), "host-d", 7000, "/driver")


def at(port: int) -> BlockManagerId:
    return BlockManagerId(ExecutorId(str(port)), "host-a", port, "/executor")


def make_master(env: RpcEnv, folder: Path) -> BroadcastMaster:
    (folder / "blocks").mkdir()
    store = BroadcastStore(str(folder), env.world)
    Path(store.path_of(ID)).write_bytes(b"x" * 25)
    store.add(ID, 25, 10)
    return BroadcastMaster(store, DRIVER, env.world, env.scope)


def locate(
    master: BroadcastMaster, port: int, pieces: bytes = b"", supply: RecordingRef | None = None
) -> RecordingContext:
    context = RecordingContext()
    master.receive(LocateBroadcast(ID, at(port), pieces, supply or RecordingRef("Supply"), True), context)
    return context


def test_an_asker_learns_what_the_file_is_made_of_and_who_has_it(tmp_path: Path) -> None:
    async def scenario(env: RpcEnv) -> None:
        master = make_master(env, tmp_path)
        first = locate(master, 1)
        await settle()
        sums = checksums_of(master.store.path_of(ID), 10)
        assert first.replies == [BroadcastFacts(25, 10, sums, (BroadcastHolder(DRIVER, b""),))]

        second = locate(master, 1, b"\1\1\1")
        (facts,) = second.replies
        assert isinstance(facts, BroadcastFacts)
        assert facts.holders[1:] == (BroadcastHolder(at(1), b""),)

    with_env(scenario)


def test_who_waits_for_another_of_its_host_is_answered_when_that_one_is_lost_or_gives_up(tmp_path: Path) -> None:
    async def scenario(env: RpcEnv) -> None:
        master = make_master(env, tmp_path)
        asks = [locate(master, port) for port in (1, 2, 3)]
        await settle()
        assert [len(ask.replies) for ask in asks] == [1, 0, 0]

        master.on_disconnected(RpcAddress("host-a", 1))
        assert [len(ask.replies) for ask in asks] == [1, 1, 0]

        master.receive(FetchGivenUp(ID, at(2)), RecordingContext())
        assert [len(ask.replies) for ask in asks] == [1, 1, 1]

    with_env(scenario)


@pytest.mark.scenario("BLK-002", "remove block, RDD, broadcast (driver kept or not)")
def test_unpersist_tells_all_who_asked_and_destroy_is_remembered(tmp_path: Path) -> None:
    async def scenario(env: RpcEnv) -> None:
        master, supply = make_master(env, tmp_path), RecordingRef("Supply")
        locate(master, 1, b"\1\1\1", supply)
        await settle()

        master.unpersist(ID)
        assert supply.take() == [RemoveBroadcast(ID)]
        assert master.table.holders(ID) == ()

        master.store.remove(ID)
        master.remove(ID, "destroyed at app.py:3")
        late = locate(master, 1, b"", supply)
        assert isinstance(late.failures[0], MiniSparkError)
        assert str(late.failures[0]) == "destroyed at app.py:3"
        assert supply.take() == [RemoveBroadcast(ID)]

    with_env(scenario)


@pytest.mark.scenario("BLK-003")
def test_an_executor_that_is_lost_is_not_told_of_a_broadcast_that_goes(tmp_path: Path) -> None:
    async def scenario(env: RpcEnv) -> None:
        master, lost, lives = make_master(env, tmp_path), RecordingRef("Supply"), RecordingRef("Supply")
        locate(master, 1, b"\1\1\1", lost)
        locate(master, 2, b"\1\1\1", lives)
        await settle()

        master.on_disconnected(RpcAddress("host-a", 1))
        master.remove(ID, "")

        assert (lost.sent, lives.sent) == ([], [RemoveBroadcast(ID)])

    with_env(scenario)


def test_who_is_lost_while_a_broadcast_is_written_fetches_for_nobody(tmp_path: Path) -> None:
    async def scenario(env: RpcEnv) -> None:
        master = make_master(env, tmp_path)
        thens: list[Callable[[], object]] = []
        master.when_written = lambda _, then: thens.append(then)
        lost, lives = locate(master, 1), locate(master, 2)

        master.on_disconnected(RpcAddress("host-a", 1))
        for then in thens:
            then()
        await settle()

        assert (len(lost.replies), len(lives.replies)) == (0, 1)
        assert master.early == {}

    with_env(scenario)


def test_who_asks_for_a_broadcast_whose_file_goes_while_its_checksums_are_made_is_told(tmp_path: Path) -> None:
    async def scenario(env: RpcEnv) -> None:
        master = make_master(env, tmp_path)
        Path(master.store.path_of(ID)).unlink()
        ask = locate(master, 1)
        await settle()

        assert [str(failure) for failure in ask.failures] == [master.why_missing(ID)]

    with_env(scenario)
