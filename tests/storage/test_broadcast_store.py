import os
from pathlib import Path

import pytest

from minispark.errors import MiniSparkError, RpcError
from minispark.ids import BroadcastId
from minispark.messages.distribution import FetchPiece, PieceFound
from minispark.storage.broadcast_store import SERVICE, BroadcastStore
from minispark.testing.virtual_loop import VirtualWorld
from tests.rpc.peers import Peers, with_peers

ID = BroadcastId(3)


def make_store(folder: Path) -> BroadcastStore:
    (folder / "blocks").mkdir(parents=True)
    (folder / "token").touch()
    return BroadcastStore(str(folder), VirtualWorld())


def fill(store: BroadcastStore, content: bytes, piece_bytes: int = 10) -> None:
    Path(store.path_of(ID)).write_bytes(content)
    store.add(ID, len(content), piece_bytes)


def test_a_file_is_shared_with_another_directory_of_the_host_and_outlives_it(tmp_path: Path) -> None:
    one, other = make_store(tmp_path / "one"), make_store(tmp_path / "other")
    fill(one, b"content")

    assert other.share(ID, one.directory, 7, 10)
    one.remove(ID)

    path = other.complete(ID)
    assert path is not None
    assert Path(path).read_bytes() == b"content"
    assert one.complete(ID) is None
    assert not Path(one.path_of(ID)).exists()


def test_a_directory_that_cannot_be_read_shares_nothing(tmp_path: Path) -> None:
    one, other = make_store(tmp_path / "one"), make_store(tmp_path / "other")
    fill(one, b"content")
    (tmp_path / "one" / "token").unlink()

    assert not other.share(ID, one.directory, 7, 10)
    assert other.complete(ID) is None


def test_pieces_are_served_as_soon_as_they_are_here(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    have = bytearray([0, 1, 0])

    async def scenario(peers: Peers) -> None:
        peers.server.bulk.serve(SERVICE, store.serve)
        os.close(store.begin(ID, 24, 10, have))
        Path(store.path_of(ID)).write_bytes(b"0123456789abcdefghij-end")
        assert peers.server.address is not None
        async with await peers.client.bulk.open(peers.server.address, SERVICE) as channel:
            await channel.send(FetchPiece(ID, 1))
            assert await channel.receive() == PieceFound(10)
            assert b"".join([bytes(part) async for part in channel.receive_data()]) == b"abcdefghij"
            await channel.send(FetchPiece(ID, 2))
            with pytest.raises(RpcError, match="piece 2 of broadcast 3 is not here"):
                await channel.receive()
        assert store.completed(ID) == store.path_of(ID)

    with_peers(scenario)


@pytest.mark.parametrize("index", [-1, 3])
def test_a_piece_that_does_not_exist_is_an_error(tmp_path: Path, index: int) -> None:
    store = make_store(tmp_path)
    fill(store, b"x" * 25)

    with pytest.raises(MiniSparkError, match="is not here"):
        store.piece(FetchPiece(ID, index))


def test_a_file_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MiniSparkError, match="a broadcast of 5 bytes cannot be written"):
        BroadcastStore(str(tmp_path / "missing"), VirtualWorld()).begin(ID, 5, 5, bytearray(1))
