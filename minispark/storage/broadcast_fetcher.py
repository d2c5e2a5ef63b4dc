"""BroadcastFetcher: brings the file of a broadcast to an executor, from whoever has pieces of it.

`executor.supply` calls it, once per broadcast. The decisions are those of `logic.torrent`; here is what waits: asking
the driver who has what, connections, writing. A file of this very host is shared instead
(`minispark.shuffle.readHostLocal` switches that off, too).
"""

import asyncio
import os
import zlib
from typing import Final

from minispark.conf import SparkConf
from minispark.errors import MiniSparkError, RpcError
from minispark.ids import BroadcastId
from minispark.messages.distribution import (
    BroadcastFacts,
    FetchGivenUp,
    FetchPiece,
    LocateBroadcast,
    PieceFound,
)
from minispark.messages.task import BlockManagerId
from minispark.rpc.bulk import BulkChannel
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.ref import RpcEndpointRef
from minispark.storage.broadcast_store import SERVICE, BroadcastStore
from minispark.storage.logic.torrent import MAX_TAKEN, Torrent

__all__ = ["BroadcastFetcher"]

LOCATE_TIMEOUT_S: Final = 3600.0  # another executor of this host may be fetching; its loss is told


class BroadcastFetcher:
    """Fetches broadcasts for one executor.

    Args:
        env: the executor's, which listens.
        store: where the files go.
        location: where this executor is.
        master: the driver's `BroadcastMaster`.
        conf: the application's settings.
    """

    def __init__(
        self, env: RpcEnv, store: BroadcastStore, location: BlockManagerId, master: RpcEndpointRef, conf: SparkConf
    ) -> None:
        self.env = env
        self.store = store
        self.location = location
        self.master = master
        self.shares = conf.shuffle_read_host_local

    async def fetch(self, broadcast_id: BroadcastId, supply: RpcEndpointRef) -> str:
        """Bring a broadcast here and return the path of its file.

        Raises:
            MiniSparkError: it was destroyed, nobody who has it can be reached, or there is no room.
        """
        facts = await self.locate(broadcast_id, b"", supply)
        whole = [holder.location.directory for holder in facts.holders if not holder.pieces]
        sizes = facts.size_bytes, facts.piece_bytes
        if self.shares and any(self.store.share(broadcast_id, directory, *sizes) for directory in whole):
            everything = bytes([1]) * (len(facts.checksums) // 4)
            self.master.send(LocateBroadcast(broadcast_id, self.location, everything, supply, self.shares))
            path = self.store.complete(broadcast_id)
            assert path is not None
            return path
        try:
            return await self.fetch_pieces(broadcast_id, facts, supply)
        except BaseException:
            self.store.remove(broadcast_id)
            self.master.send(FetchGivenUp(broadcast_id, self.location))
            raise

    async def locate(self, broadcast_id: BroadcastId, have: bytes, supply: RpcEndpointRef) -> BroadcastFacts:
        """Tell the driver what is here, and learn who has what."""
        question = LocateBroadcast(broadcast_id, self.location, have, supply, self.shares)
        return await self.master.ask(question, LOCATE_TIMEOUT_S)

    async def fetch_pieces(self, broadcast_id: BroadcastId, facts: BroadcastFacts, supply: RpcEndpointRef) -> str:
        """Fetch all pieces, in rounds: between two, others learn what is here, and this one what they have."""
        torrent = Torrent(f"broadcast {broadcast_id}", facts.checksums, self.location, self.env.world.rng)
        fd = self.store.begin(broadcast_id, facts.size_bytes, facts.piece_bytes, torrent.have)
        try:
            while sources := torrent.learned(facts.holders):
                async with asyncio.TaskGroup() as group:
                    for source in sources:
                        group.create_task(self.fetch_from(source, broadcast_id, torrent, facts, fd))
                facts = await self.locate(broadcast_id, bytes(torrent.have), supply)
        except* MiniSparkError as failures:
            raise MiniSparkError(str(failures.exceptions[0])) from failures
        finally:
            os.close(fd)
        return self.store.completed(broadcast_id)

    async def fetch_from(
        self, source: BlockManagerId, broadcast_id: BroadcastId, torrent: Torrent, facts: BroadcastFacts, fd: int
    ) -> None:
        """Fetch some pieces from one holder; one that fails is not asked again."""
        try:
            async with await self.env.bulk.open(RpcAddress(source.host, source.port), SERVICE) as channel:
                for _ in range(MAX_TAKEN):
                    index = torrent.take(source)
                    if index is None:
                        return
                    piece = await fetch_piece(channel, broadcast_id, index)
                    if not await self.keep(piece, source, index, torrent, facts.piece_bytes, fd):
                        return
        except RpcError as error:
            torrent.lost(source, str(error))

    async def keep(
        self, piece: bytes, source: BlockManagerId, index: int, torrent: Torrent, piece_bytes: int, fd: int
    ) -> bool:
        """Write a piece, and take it if it is what it should be; False if it is not."""
        try:
            checksum = await self.env.world.run_blocking(write_piece, fd, piece, index * piece_bytes)
        except OSError as error:
            raise MiniSparkError(f"{torrent.what} cannot be written to {self.store.directory}: {error}") from error
        return torrent.arrived(source, index, checksum)


async def fetch_piece(channel: BulkChannel, broadcast_id: BroadcastId, index: int) -> bytes:
    """Ask for a piece and return it.

    Raises:
        RpcError: the holder failed.
    """
    await channel.send(FetchPiece(broadcast_id, index))
    found = await channel.receive()
    if not isinstance(found, PieceFound):
        raise RpcError(f"{type(found).__name__} came in place of piece {index}")
    return b"".join([bytes(part) async for part in channel.receive_data()])


def write_piece(fd: int, piece: bytes, offset: int) -> int:
    """Write a piece and return its checksum."""
    os.pwrite(fd, piece, offset)
    return zlib.adler32(piece)
