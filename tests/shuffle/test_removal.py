"""Map outputs that nobody needs are removed by whoever has them: this process, an executor or a shuffle service."""

import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

from minispark.ids import ExecutorId, ShuffleId, TaskId
from minispark.messages.task import BlockManagerId
from minispark.shuffle.removal import MapOutputRemover
from tests.shuffle.hosts import Hosts, with_hosts
from tests.shuffle.outputs import SHUFFLE

RECORDS = [[("a", 1)], [("b", 2)], [("c", 3)]]
OTHER = ShuffleId(SHUFFLE + 1)


def outputs(hosts: Hosts) -> list[str]:
    return sorted(os.listdir(Path(hosts.location.directory, "shuffle")))


def names(*map_ids: int) -> list[str]:
    return sorted(f"shuffle_{SHUFFLE}_{map_id}.{kind}" for map_id in map_ids for kind in ("data", "index"))


def remover(hosts: Hosts) -> MapOutputRemover:
    return MapOutputRemover(hosts.net.client.world, lambda: hosts.data.transfer)


def elsewhere(hosts: Hosts) -> BlockManagerId:
    """Return the server's location as a driver on another host sees it."""
    Path(hosts.location.directory, "token").unlink()
    return hosts.location


@pytest.mark.scenario("SHF-005", "34541: shuffle removal")
@pytest.mark.parametrize("here", [True, False], ids=["here", "on another host"])
def test_all_of_a_forgotten_shuffle_goes_and_others_stay(tmp_path: Path, here: bool) -> None:
    async def scenario(hosts: Hosts) -> None:
        hosts.exchange.write_all(*RECORDS)
        location = hosts.location if here else elsewhere(hosts)
        await remover(hosts).remove_shuffle(OTHER, [location])
        assert outputs(hosts) == names(*hosts.map_ids())
        await remover(hosts).remove_shuffle(SHUFFLE, [location])
        assert outputs(hosts) == []

    with_hosts(tmp_path, scenario)


@pytest.mark.parametrize("here", [True, False], ids=["here", "on another host"])
def test_of_one_attempt_only_what_it_wrote_goes(tmp_path: Path, here: bool) -> None:
    async def scenario(hosts: Hosts) -> None:
        hosts.exchange.write_all(*RECORDS)
        first, *others = hosts.map_ids()
        await remover(hosts).remove_output(TaskId(first), hosts.location if here else elsewhere(hosts))
        assert outputs(hosts) == names(*others)

    with_hosts(tmp_path, scenario)


def test_an_executor_removes_nothing_of_another(tmp_path: Path) -> None:
    async def scenario(hosts: Hosts) -> None:
        hosts.exchange.write_all(*RECORDS)
        stranger = replace(elsewhere(hosts), executor_id=ExecutorId("../1"))
        await remover(hosts).remove_shuffle(SHUFFLE, [stranger])
        assert outputs(hosts) == names(*hosts.map_ids())

    with_hosts(tmp_path, scenario)


@pytest.mark.scenario("BLK-003")
def test_what_cannot_be_reached_stays_and_the_rest_goes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(hosts: Hosts) -> None:
        hosts.exchange.write_all(*RECORDS)
        gone = replace(hosts.location, port=9, directory="/gone")
        without_port = replace(gone, port=0)
        with caplog.at_level(logging.INFO, "minispark.shuffle.removal"):
            await remover(hosts).remove_shuffle(SHUFFLE, [without_port, gone, hosts.location])
        assert outputs(hosts) == []
        assert [record.message.partition(":")[0] for record in caplog.records] == ["map outputs stay with executor 1"]

    with_hosts(tmp_path, scenario)
