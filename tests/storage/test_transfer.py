import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from minispark.errors import PeerRefused, ProtocolError, RpcError, RpcTimeout
from minispark.ids import BlockId, ExecutorId
from minispark.messages.task import BlockManagerId
from minispark.messages.transfer import BlockHead, FetchBlock, RegisterDirectory, RemoveBlockFile, Taken
from minispark.storage.transfer import (
    IDLE_S,
    MAX_IDLE,
    BlockFiles,
    BlockService,
    OwnDirectory,
    Transfer,
    address_of,
    expect,
)
from tests.rpc.peers import Peers, settle, with_peers

BLOCK = BlockId("rdd_1_2")
CONTENT = os.urandom(3 << 20)


class Place:
    """An executor with a block, and channels to it."""

    def __init__(self, path: Path, peers: Peers) -> None:
        self.blocks = path / "session" / "blocks"
        self.blocks.mkdir(parents=True)
        (self.blocks / BLOCK).write_bytes(CONTENT)
        self.location = BlockManagerId(
            ExecutorId("1"), peers.address.host, peers.address.port, str(self.blocks.parent)
        )
        self.address = address_of(self.location)
        self.service = BlockService(peers.server)
        BlockFiles(peers.server.world, OwnDirectory(self.location)).add_to(self.service)
        self.transfer = Transfer(peers.client)
        self.peers = peers

    @property
    def channels(self) -> int:
        """How many channels are open."""
        return len(self.peers.client.network.connections)


def with_place(path: Path, scenario: Callable[[Place], Awaitable[None]]) -> None:
    async def main(peers: Peers) -> None:
        place = Place(path, peers)
        await scenario(place)
        place.transfer.close()

    with_peers(main)


@pytest.mark.scenario("BLK-005", "remote")
def test_a_block_comes_whole(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        assert bytes(await place.transfer.fetch_block(place.location, BLOCK) or b"") == CONTENT
        assert await place.transfer.fetch_block(place.location, BlockId("rdd_1_3")) is None

    with_place(tmp_path, scenario)


@pytest.mark.scenario("BLK-007", "big remote block to disk")
def test_a_block_comes_into_a_file(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        path = tmp_path / "fetched"

        assert await place.transfer.fetch_block_to_file(place.location, BLOCK, str(path)) == len(CONTENT)

        assert path.read_bytes() == CONTENT
        assert await place.transfer.fetch_block_to_file(place.location, BlockId("rdd_9_9"), str(path)) is None

    with_place(tmp_path, scenario)


@pytest.mark.scenario("BLK-007", "temp download files deleted")
def test_a_stream_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    async def break_off(channel: object, request: FetchBlock) -> None:
        await channel.send(BlockHead(100))  # type: ignore[attr-defined]
        await channel.send_data(b"the beginning")  # type: ignore[attr-defined]
        raise RuntimeError("a disk that dies")

    async def scenario(place: Place) -> None:
        place.service.answers[FetchBlock] = break_off
        path = tmp_path / "fetched"

        with pytest.raises(RpcError, match="a disk that dies"):
            await place.transfer.fetch_block_to_file(place.location, BLOCK, str(path))

        assert not path.exists()

    with_place(tmp_path, scenario)


def test_a_peer_that_says_nothing_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    async def fall_silent(channel: object, request: FetchBlock) -> None:
        await channel.send(BlockHead(100))  # type: ignore[attr-defined]
        await channel.send_data(b"the beginning")  # type: ignore[attr-defined]
        await place_of[0].peers.server.world.sleep(10_000.0)

    async def scenario(place: Place) -> None:
        place_of.append(place)
        place.service.answers[FetchBlock] = fall_silent
        with pytest.raises(RpcTimeout, match="was silent for 120 s"):
            await place.transfer.fetch_block_to_file(place.location, BLOCK, str(tmp_path / "fetched"))
        with pytest.raises(RpcTimeout, match="was silent for 120 s"):
            await place.transfer.fetch_block(place.location, BLOCK)
        assert not (tmp_path / "fetched").exists()

    place_of: list[Place] = []
    with_place(tmp_path, scenario)


def test_a_peer_that_does_not_say_that_it_has_removed_a_block_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    async def fall_silent(channel: object, request: RemoveBlockFile) -> None:
        await places[0].peers.server.world.sleep(10_000.0)

    async def scenario(place: Place) -> None:
        places.append(place)
        place.service.answers[RemoveBlockFile] = fall_silent
        with pytest.raises(RpcTimeout, match="was silent for 120 s"):
            await place.transfer.remove_block(place.location, BLOCK)

    places: list[Place] = []
    with_place(tmp_path, scenario)


def test_a_block_is_removed_at_its_executor(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        await place.transfer.remove_block(place.location, BLOCK)
        await place.transfer.remove_block(place.location, BLOCK)

        assert not list(place.blocks.iterdir())

    with_place(tmp_path, scenario)


def test_a_block_that_is_larger_than_it_may_be_is_refused(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        with pytest.raises(ProtocolError, match="more than the 5 expected"):
            await place.transfer.fetch_block(place.location, BLOCK, max_bytes=5)

    with_place(tmp_path, scenario)


@pytest.mark.parametrize("name", ["../token", "a/b", "", ".lock", "a\0b", "rdd_1_2\n"])
def test_what_is_no_blocks_id_is_refused(tmp_path: Path, name: str) -> None:
    async def scenario(place: Place) -> None:
        with pytest.raises(RpcError, match="is not the id of a block"):
            await place.transfer.fetch_block(place.location, BlockId(name))

    with_place(tmp_path, scenario)


def test_a_block_of_another_executor_is_not_here(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        other = replace(place.location, executor_id=ExecutorId("2"))

        assert await place.transfer.fetch_block(other, BLOCK) is None

    with_place(tmp_path, scenario)


def test_channels_are_used_again_and_closed_when_idle(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        for _ in range(3):
            await place.transfer.fetch_block(place.location, BLOCK)
        assert place.channels == 1

        await place.peers.client.world.sleep(IDLE_S + 1)
        await settle()

        assert place.channels == 0
        assert (place.transfer.idle, place.transfer.timers) == ({}, {})

    with_place(tmp_path, scenario)


def test_a_channel_after_an_error_is_not_used_again(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        async def ask_what_is_not_answered() -> None:
            async with place.transfer.channel(place.address) as channel:
                await channel.send(RegisterDirectory(ExecutorId("1"), "x"))
                await expect(channel, Taken)

        with pytest.raises(RpcError, match="does not answer a RegisterDirectory"):
            await ask_what_is_not_answered()
        await settle()

        assert place.channels == 0

    with_place(tmp_path, scenario)


def test_a_channel_that_its_peer_closed_is_not_used_again(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        await place.transfer.fetch_block(place.location, BLOCK)
        for connection in list(place.peers.server.network.connections):
            connection.transport.abort()
        await settle()

        assert bytes(await place.transfer.fetch_block(place.location, BLOCK) or b"") == CONTENT

    with_place(tmp_path, scenario)


def test_no_more_channels_than_a_few_wait_for_use(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        held = [place.transfer.channel(place.address) for _ in range(MAX_IDLE + 2)]
        for one in held:
            await one.__aenter__()
        for one in held:
            await one.__aexit__(None, None, None)
        await settle()

        assert place.channels == MAX_IDLE

    with_place(tmp_path, scenario)


def test_nobody_who_listens_is_told_apart_from_other_trouble(tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        await place.peers.server.close()

        with pytest.raises(PeerRefused):
            await place.transfer.fetch_block(place.location, BLOCK)

    with_place(tmp_path, scenario)
