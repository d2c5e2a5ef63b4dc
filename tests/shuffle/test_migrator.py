import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from minispark.ids import ExecutorId
from minispark.messages.task import BlockManagerId
from minispark.messages.transfer import (
    GetMigrationPeers,
    MapOutputMoved,
    MigrationPeers,
    MoveMapOutput,
    UploadMapOutput,
)
from minispark.rpc.bulk import BulkChannel
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.shuffle.executor_data import ExecutorData
from minispark.shuffle.files import map_output_paths
from minispark.shuffle.logic.migration import Migration, Output
from minispark.shuffle.migrator import outputs_in
from minispark.testing.builders import location
from minispark.testing.virtual_loop import run_virtual
from tests.rpc.peers import Peers, peers
from tests.shuffle.outputs import SHUFFLE, Exchange, dependency, session

PAIRS = [("a", 1), ("b", 2)]


class Tracker(RpcEndpoint):
    """The driver's MapOutputTracker: knows the peers, and applies moves."""

    def __init__(self, exchange: Exchange, peers: list[BlockManagerId]) -> None:
        self.exchange, self.peers = exchange, peers

    def receive(self, message: Any, context: CallContext) -> None:
        if isinstance(message, GetMigrationPeers):
            context.reply(MigrationPeers(tuple(self.peers)))
        else:
            assert isinstance(message, MoveMapOutput)
            moved = self.exchange.table.move(message.shuffle_id, message.map_id, message.location)
            context.reply(MapOutputMoved(moved))


class Going:
    """An executor that goes, one that stays, and a driver."""

    def __init__(self, path: Path, net: Peers) -> None:
        (path / "stays").mkdir()
        self.stays_at = replace(session(path / "stays", "2"), host=net.address.host, port=net.address.port)
        self.exchange = Exchange(session(path / "goes", "1"), dependency(2))
        self.exchange.write_all(PAIRS, PAIRS, PAIRS)
        self.stays = ExecutorData(net.server, self.stays_at)
        self.tracker = Tracker(self.exchange, [self.stays_at])
        net.server.setup_endpoint("MapOutputTracker", self.tracker)
        self.goes = ExecutorData(net.client, self.exchange.location)
        self.net = net
        self.migrator = self.goes.migrator(net.client.bind("MapOutputTracker", net.address))

    def homes(self) -> list[str]:
        """Return which executor has each output, as the driver knows it."""
        statuses = self.exchange.table.of(SHUFFLE).statuses
        return [status.location.executor_id for status in statuses if status is not None]

    def files(self, place: BlockManagerId) -> list[str]:
        """Return the names of an executor's files."""
        return sorted(path.name for path in Path(place.directory, "shuffle").iterdir())


def with_going(path: Path, scenario: Callable[[Going], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        async with peers(**settings) as net:
            going = Going(path, net)
            await scenario(going)
            going.goes.close()

    run_virtual(main())


@pytest.mark.scenario("BLK-010", "shuffle block migration (no/large/small disk limit, encryption)")
@pytest.mark.scenario("DEC-004", "only shuffle files")
def test_map_outputs_move_and_are_read_where_they_are_now(tmp_path: Path) -> None:
    async def scenario(going: Going) -> None:
        before = going.exchange.read_all()
        epoch = going.exchange.table.epoch

        assert await going.migrator.migrate() == 0

        assert going.homes() == ["2", "2", "2"]
        assert going.exchange.table.epoch > epoch, "executors that know the old places ask again"
        assert going.files(going.stays_at) == going.files(going.exchange.location)
        Path(going.exchange.location.directory).rename(tmp_path / "gone")
        assert going.exchange.read_all() == before
        going.exchange.table.check()

    with_going(tmp_path, scenario)


def test_a_second_round_moves_only_what_is_new(tmp_path: Path) -> None:
    async def scenario(going: Going) -> None:
        await going.migrator.migrate()
        moved = list(going.migrator.state.moved)
        going.exchange.write(0, PAIRS, task_id=999)

        await going.migrator.migrate()

        assert [output for output in going.migrator.state.moved if output not in moved] == [(SHUFFLE, 999)]

    with_going(tmp_path, scenario)


@pytest.mark.scenario("DEC-004", "disabled")
@pytest.mark.parametrize("name", ["enabled", "shuffleBlocks.enabled"])
def test_nothing_moves_where_it_is_switched_off(tmp_path: Path, name: str) -> None:
    async def scenario(going: Going) -> None:
        assert await going.migrator.migrate() == 0
        assert going.homes() == ["1", "1", "1"]

    with_going(tmp_path, scenario, **{f"storage.decommission.{name}": False})


@pytest.mark.scenario("DEC-004", "file missing (40168)")
def test_an_output_whose_data_is_missing_does_not_keep_the_others(tmp_path: Path) -> None:
    async def scenario(going: Going) -> None:
        status = going.exchange.table.of(SHUFFLE).statuses[1]
        assert status is not None
        Path(map_output_paths(going.exchange.location.directory, SHUFFLE, status.map_id)[0]).unlink()

        assert await going.migrator.migrate() == 0

        assert going.homes() == ["2", "1", "2"]

    with_going(tmp_path, scenario)


@pytest.mark.scenario("DEC-004", "target itself decommissioned (44126)")
def test_a_peer_that_goes_too_takes_nothing(tmp_path: Path) -> None:
    async def scenario(going: Going) -> None:
        going.stays.taker.is_leaving = lambda: True

        assert await going.migrator.migrate() == 3

        assert going.homes() == ["1", "1", "1"]
        assert going.files(going.stays_at) == []

    with_going(tmp_path, scenario)


@pytest.mark.scenario("DEC-004", "I/O failure retried up to limit")
def test_a_peer_whose_disk_fails_keeps_no_half_and_is_given_up(tmp_path: Path) -> None:
    async def scenario(going: Going) -> None:
        shuffle = Path(going.stays_at.directory, "shuffle")
        shuffle.rmdir()
        shuffle.touch()

        assert await going.migrator.migrate() == 3

        assert set(going.migrator.state.failures.values()) == {3}
        assert going.homes() == ["1", "1", "1"]

    with_going(tmp_path, scenario)


@pytest.mark.scenario("DEC-004", "no host available (44547)")
def test_without_anybody_who_stays_everything_stays(tmp_path: Path) -> None:
    async def scenario(going: Going) -> None:
        going.tracker.peers.clear()

        assert await going.migrator.migrate() == 3

    with_going(tmp_path, scenario)


def test_a_peer_that_is_gone_is_passed_over(tmp_path: Path) -> None:
    async def scenario(going: Going) -> None:
        gone = replace(going.stays_at, executor_id=ExecutorId("3"), port=1)
        going.tracker.peers.insert(0, gone)

        assert await going.migrator.migrate() == 0
        assert going.homes() == ["2", "2", "2"]

    with_going(tmp_path, scenario)


def test_a_peer_that_is_silent_is_waited_for_once(tmp_path: Path) -> None:
    async def scenario(going: Going) -> None:
        silent = replace(going.stays_at, executor_id=ExecutorId("3"))
        going.tracker.peers[:] = [silent]
        began = asyncio.get_running_loop().time()

        async def wait_for_ever(channel: BulkChannel, request: UploadMapOutput) -> None:
            await asyncio.Event().wait()

        going.stays.blocks.answers[UploadMapOutput] = wait_for_ever

        assert await going.migrator.migrate() == 3
        assert going.homes() == ["1", "1", "1"]
        assert asyncio.get_running_loop().time() - began < 31.0

    with_going(tmp_path, scenario, **{"network.timeout": "30s"})


@pytest.mark.scenario("BLK-010", "shuffle block migration (no/large/small disk limit, encryption)")
@pytest.mark.parametrize(("limit", "homes"), [("0", "222"), ("1g", "222"), ("1b", "211")])
def test_an_executor_takes_outputs_until_they_take_too_much_of_its_disk(
    tmp_path: Path, limit: str, homes: str
) -> None:
    async def scenario(going: Going) -> None:
        assert await going.migrator.migrate() == homes.count("1")
        assert sorted(going.homes(), reverse=True) == list(homes)
        assert len(going.files(going.stays_at)) == 2 * homes.count("2"), "data and index, and nothing half"

    with_going(tmp_path, scenario, **{"storage.decommission.shuffleBlocks.maxDiskSize": limit})


@pytest.mark.scenario("HIS-005", "DiskBlockManager")
@pytest.mark.scenario("BLK-010", "ordered migration")
def test_outputs_move_in_the_order_of_their_shuffles_and_map_tasks(tmp_path: Path) -> None:
    (tmp_path / "shuffle").mkdir()
    for shuffle_id, map_id in ((10, 1), (2, 10), (2, 9), (1, 30)):
        (tmp_path / "shuffle" / f"shuffle_{shuffle_id}_{map_id}.index").touch()
    for stranger in ("shuffle_1_1.index.a0.tmp", "spill_7", ".nfs123"):
        (tmp_path / "shuffle" / stranger).touch()
    state = Migration[Output](1)
    state.found(outputs_in(str(tmp_path)))
    state.use([location("2")])

    moves = [state.next() for _ in range(4)]

    assert [move.output for move in moves if move is not None] == [(1, 30), (2, 9), (2, 10), (10, 1)]
