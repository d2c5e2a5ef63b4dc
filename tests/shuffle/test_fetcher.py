import os
from pathlib import Path

import pytest

from minispark.ids import TaskId
from minispark.messages.fetching import FetchedBlocks, NextFetched, PeerBlocks
from minispark.shuffle.fetcher import INLINE_BYTES
from minispark.shuffle.files import map_output_paths, read_entry
from tests.rpc.peers import settle
from tests.shuffle.hosts import TASK, Hosts, with_hosts
from tests.shuffle.outputs import SHUFFLE

SMALL = [("a", 1), ("b", 2)]
LARGE = [("a", os.urandom(INLINE_BYTES))]


def segment(hosts: Hosts, map_id: TaskId) -> bytes:
    """Return the bytes of a map output's only partition."""
    data_path, index_path = map_output_paths(hosts.location.directory, SHUFFLE, map_id)
    offset, size, _ = read_entry(index_path, data_path, 0)
    return Path(data_path).read_bytes()[offset : offset + size]


def content(fetched: FetchedBlocks) -> bytes:
    """Return the bytes that were fetched."""
    return Path(fetched.path).read_bytes() if fetched.path else bytes(fetched.data)


def flip_a_byte(hosts: Hosts, map_id: TaskId) -> None:
    """Damage a map output on disk."""
    path = Path(map_output_paths(hosts.location.directory, SHUFFLE, map_id)[0])
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_small_blocks_come_in_the_answer(tmp_path: Path) -> None:
    async def scenario(hosts: Hosts) -> None:
        hosts.exchange.write_all(SMALL, SMALL)
        first, second = hosts.map_ids()
        fetch_id = await hosts.open(PeerBlocks(hosts.location, (second, first), 100))

        fetched = await hosts.next(fetch_id)

        assert content(fetched) == segment(hosts, second) + segment(hosts, first)
        assert fetched.sizes == (len(segment(hosts, second)), len(segment(hosts, first)))
        assert not fetched.path

    with_hosts(tmp_path, scenario)


@pytest.mark.scenario("HIS-005", "ShuffleBlockFetcherIterator (non-push)")
def test_large_blocks_come_in_a_file_that_goes_when_the_next_is_asked_for(tmp_path: Path) -> None:
    async def scenario(hosts: Hosts) -> None:
        hosts.exchange.write_all(LARGE, SMALL)
        fetch_id = await hosts.open_all()
        kept = {}
        for _ in range(2):
            fetched = await hosts.next(fetch_id)
            kept[hosts.map_ids()[fetched.number]] = content(fetched)
            assert len(hosts.files()) == bool(fetched.path) or fetched.number == 1

        assert kept == {map_id: segment(hosts, map_id) for map_id in hosts.map_ids()}
        hosts.fetcher.attempt_ended(TASK, True)
        assert hosts.files() == []

    with_hosts(tmp_path, scenario)


@pytest.mark.scenario("DIS-002", "map output larger than in-flight limit")
def test_map_outputs_over_the_limit_arrive_one_after_another(tmp_path: Path) -> None:
    async def scenario(hosts: Hosts) -> None:
        hosts.exchange.write_all(LARGE, LARGE, LARGE)
        fetch_id = await hosts.open_all(len(LARGE[0][1]))
        for _ in range(3):
            await settle()
            assert len(hosts.files()) <= 1, "nothing is asked for while as much waits"
            fetched = await hosts.next(fetch_id)
            assert content(fetched) == segment(hosts, hosts.map_ids()[fetched.number])

    with_hosts(tmp_path, scenario, reducer__maxSizeInFlight="100k")


def test_a_channel_serves_one_request_after_another(tmp_path: Path) -> None:
    async def scenario(hosts: Hosts) -> None:
        hosts.exchange.write_all(SMALL, SMALL, SMALL)
        fetch_id = await hosts.open_all(10)
        for _ in range(3):
            await hosts.next(fetch_id)

        assert len(hosts.net.client.network.connections) == 1

    with_hosts(tmp_path, scenario, reducer__maxReqsInFlight=1)


@pytest.mark.scenario("HIS-005", "ShuffleBlockFetcherIterator (non-push)")
def test_the_end_of_an_attempt_ends_what_it_fetches(tmp_path: Path) -> None:
    async def scenario(hosts: Hosts) -> None:
        hosts.exchange.write_all(LARGE, LARGE)
        fetch_id = await hosts.open_all()
        await hosts.next(fetch_id)
        await settle()
        assert len(hosts.files()) == 2

        hosts.fetcher.attempt_ended(TASK, True)
        await settle()

        assert hosts.files() == []
        assert (hosts.fetcher.fetches, hosts.fetcher.of_task, hosts.fetcher.on_their_way) == ({}, {}, 0)
        hosts.fetcher.asked(TASK, NextFetched(fetch_id), lambda answer: pytest.fail("nobody waits"))

    with_hosts(tmp_path, scenario)


@pytest.mark.scenario("HIS-005", "ShuffleBlockFetcherIterator (non-push)")
def test_an_attempt_that_ends_in_the_middle_leaves_no_file(tmp_path: Path) -> None:
    async def scenario(hosts: Hosts) -> None:
        hosts.exchange.write_all([("a", os.urandom(20 << 20))])
        await hosts.open_all()
        while not hosts.files():
            await hosts.net.client.world.sleep(0)
        assert hosts.fetcher.on_their_way == 1

        hosts.fetcher.attempt_ended(TASK, True)
        await settle()

        assert hosts.files() == []
        assert hosts.fetcher.on_their_way == 0

    with_hosts(tmp_path, scenario)


@pytest.mark.scenario("HIS-005", "ShuffleBlockFetcherIterator (non-push)")
def test_a_missing_file_is_told_with_its_place(tmp_path: Path) -> None:
    async def scenario(hosts: Hosts) -> None:
        hosts.exchange.write_all(SMALL, SMALL)
        first, second = hosts.map_ids()
        Path(map_output_paths(hosts.location.directory, SHUFFLE, second)[0]).unlink()
        fetch_id = await hosts.open(PeerBlocks(hosts.location, (first, second), 100))

        fetched = await hosts.next(fetch_id)

        assert (fetched.number, fetched.position, fetched.only_this_output) == (0, 1, True)
        assert "No such file" in fetched.problem

    with_hosts(tmp_path, scenario)


def test_a_directory_that_is_gone_is_lost_as_a_whole(tmp_path: Path) -> None:
    async def scenario(hosts: Hosts) -> None:
        hosts.exchange.write_all(SMALL)
        fetch_id = -1
        Path(hosts.location.directory).rename(tmp_path / "gone")
        fetch_id = await hosts.open_all()

        fetched = await hosts.next(fetch_id)

        assert fetched.problem
        assert not fetched.only_this_output

    with_hosts(tmp_path, scenario)


@pytest.mark.scenario("HIS-005", "ShuffleBlockFetcherIterator (non-push)")
@pytest.mark.scenario("SHF-006")
def test_damage_on_disk_is_found_asked_for_again_and_named(tmp_path: Path) -> None:
    async def scenario(hosts: Hosts) -> None:
        hosts.exchange.write_all(SMALL, LARGE)
        first, second = hosts.map_ids()
        flip_a_byte(hosts, second)
        fetch_id = await hosts.open(PeerBlocks(hosts.location, (first, second), 100))

        fetched = await hosts.next(fetch_id)

        assert (fetched.position, fetched.only_this_output) == (1, True)
        assert "came with a wrong checksum, twice" in fetched.problem
        assert hosts.files() == []

    with_hosts(tmp_path, scenario)


def test_nobody_who_listens_is_a_loss_at_once(tmp_path: Path) -> None:
    async def scenario(hosts: Hosts) -> None:
        hosts.exchange.write_all(SMALL)
        await hosts.net.server.close()
        before = hosts.net.client.world.monotonic()
        fetch_id = await hosts.open_all()

        fetched = await hosts.next(fetch_id)

        assert "PeerRefused" in fetched.problem
        assert not fetched.only_this_output
        assert hosts.net.client.world.monotonic() - before < 0.1

    with_hosts(tmp_path, scenario)


def test_a_connection_that_breaks_is_tried_again(tmp_path: Path) -> None:
    async def scenario(hosts: Hosts) -> None:
        hosts.exchange.write_all([("a", os.urandom(20 << 20))])
        fetch_id = await hosts.open_all()
        while not hosts.files():
            await hosts.net.client.world.sleep(0)
        for connection in list(hosts.net.server.network.connections):
            connection.transport.abort()

        fetched = await hosts.next(fetch_id)

        assert content(fetched) == segment(hosts, hosts.map_ids()[0])
        assert hosts.files() == [os.path.basename(fetched.path)]

    with_hosts(tmp_path, scenario)
