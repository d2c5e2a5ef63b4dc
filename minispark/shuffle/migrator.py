"""Handing map outputs over when an executor goes: the sender, and the answer of those that stay.

The executor's decommissioner calls `MapOutputMigrator.migrate`; what moves where is decided by `logic.migration`.
Files go as they are, index and data, under the same ids, so that checksums stay true; the driver is told the new
place of each. A peer commits what it takes as a task does: half an output is never seen.
"""

import asyncio
import contextlib
import logging
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from minispark.conf import SparkConf
from minispark.errors import RpcError, RpcTimeout
from minispark.ids import ShuffleId, TaskId
from minispark.messages.task import BlockManagerId
from minispark.messages.transfer import MapOutputStored, MoveMapOutput, UploadMapOutput
from minispark.rpc.bulk import CHUNK, BulkChannel
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.world import World
from minispark.shuffle.files import map_output_paths
from minispark.shuffle.logic.migration import Migration, Move, Output
from minispark.storage.transfer import BlockService, Transfer, address_of, expect, patience_with, write_all

__all__ = ["MapOutputMigrator", "MapOutputTaker"]

logger = logging.getLogger(__name__)

INDEX_NAME: Final = re.compile(r"shuffle_(\d+)_(\d+)\.index")

Peers = Callable[[], Awaitable[Sequence[BlockManagerId]]]


class MapOutputMigrator:
    """Moves an executor's map outputs to others; a `BlockMigrator` of the decommissioner.

    Args:
        transfer: channels to other executors.
        directory: the session directory.
        tracker: the driver's MapOutputTracker.
        peers: the executors that stay.
        conf: `minispark.storage.decommission.*`.
    """

    def __init__(
        self, transfer: Transfer, directory: str, tracker: RpcEndpointRef, peers: Peers, conf: SparkConf
    ) -> None:
        self.transfer = transfer
        self.world = transfer.env.world
        self.directory = directory
        self.tracker = tracker
        self.peers = peers
        self.enabled = conf.storage_decommission_enabled and conf.storage_decommission_shuffle_blocks
        self.state = Migration[Output](conf.storage_decommission_max_failures)

    async def migrate(self) -> int:
        """Move the outputs that are here now; return how many had to stay so far."""
        state = self.state
        if not self.enabled or not state.found(await self.world.run_blocking(outputs_in, self.directory)):
            return len(state.stayed)
        state.use(await self.peers())
        while (move := state.next()) is not None:
            await self.perform(move)
        return len(state.stayed)

    async def perform(self, move: Move[Output]) -> None:
        """Move one output, and take note of what became of it."""
        state = self.state
        try:
            stored = await self.upload(move)
        except FileNotFoundError:
            state.missing(move)
        except (RpcError, OSError) as error:
            logger.warning("map output %s cannot be moved to %s: %s", move.output, move.peer, error)
            state.failed(move)
        else:
            if stored.is_leaving:
                state.peer_leaves(move)
            elif stored.problem:
                logger.warning("map output %s: %s does not take it: %s", move.output, move.peer, stored.problem)
                state.failed(move)
            else:
                state.done(move)

    async def upload(self, move: Move[Output]) -> MapOutputStored:
        """Send one output and tell the driver where it is.

        Raises:
            FileNotFoundError: it is not here any more.
            RpcError: the peer or the driver cannot be reached, or the peer is silent for `minispark.network.timeout`.
        """
        data_path, index_path = map_output_paths(self.directory, *move.output)
        with contextlib.ExitStack() as files:
            fds, sizes = [], []
            for path in (index_path, data_path):
                fd = await self.world.run_blocking(os.open, path, os.O_RDONLY | os.O_CLOEXEC)
                files.callback(os.close, fd)
                fds.append(fd)
                sizes.append(os.fstat(fd).st_size)
            try:
                stored = await self.send(move, fds, sizes)
            except RpcTimeout:
                self.state.avoid(move.peer)  # the outputs that follow shall not wait for it, too
                raise
        if not stored.problem:
            await self.tracker.ask(MoveMapOutput(*move.output, stored.location))
        return stored

    async def send(self, move: Move[Output], fds: Sequence[int], sizes: Sequence[int]) -> MapOutputStored:
        """Send the files of one output, waiting for the peer no longer than for any that is read from.

        Raises:
            RpcError: the peer cannot be reached, or is silent.
        """
        silence_s = self.transfer.env.conf.network_timeout
        clock = asyncio.get_running_loop().time
        async with (
            patience_with(move.peer, silence_s) as patience,
            self.transfer.channel(address_of(move.peer)) as channel,
        ):
            await channel.send(UploadMapOutput(*move.output, *sizes))
            for fd, size in zip(fds, sizes, strict=True):
                for start in range(0, size, CHUNK):
                    await channel.send_file(fd, start, min(CHUNK, size - start))
                    patience.reschedule(clock() + silence_s)
                await channel.end(size)
            return await expect(channel, MapOutputStored)


class MapOutputTaker:
    """Takes the map outputs of executors that go.

    Args:
        world: writes off the loop.
        directory: the session directory.
        location: where what is taken is found from then on.
        is_leaving: whether this executor was told to go, too.
        max_disk_bytes: when all map outputs here take more, nothing is taken; 0: it is taken whatever they take.
    """

    def __init__(
        self,
        world: World,
        directory: str,
        location: BlockManagerId,
        is_leaving: Callable[[], bool] = lambda: False,
        max_disk_bytes: int = 0,
    ) -> None:
        self.world = world
        self.max_disk_bytes = max_disk_bytes
        self.directory = directory
        self.location = location
        self.is_leaving = is_leaving

    def add_to(self, service: BlockService) -> None:
        """Have a service take map outputs."""
        service.add(UploadMapOutput, self.take)

    async def take(self, channel: BulkChannel, request: UploadMapOutput) -> None:
        """Take one output; what comes is read to its end, also where it is not wanted."""
        leaves = self.is_leaving()
        problem = "it was told to go, too" if leaves else await self.lack_of_room()
        data_path, index_path = map_output_paths(self.directory, request.shuffle_id, request.map_id)
        temporary = [f"{path}.{self.world.secret_bytes(6).hex()}.tmp" for path in (index_path, data_path)]
        try:
            for path in temporary:
                try:
                    await self.receive(channel, "" if problem else path)
                except OSError as error:
                    problem = f"{type(error).__name__}: {error}"
            if not problem:
                await self.world.run_blocking(put_in_place, temporary, (index_path, data_path))
        finally:
            await self.world.run_blocking(remove, temporary)
        await channel.send(MapOutputStored(self.location, problem, leaves))

    async def lack_of_room(self) -> str:
        """Say why nothing more is taken; empty if it is."""
        limit = self.max_disk_bytes
        if not limit or await self.world.run_blocking(bytes_in, self.directory) <= limit:
            return ""
        return (
            f"its map outputs take more than {limit} bytes (minispark.storage.decommission.shuffleBlocks.maxDiskSize)"
        )

    async def receive(self, channel: BulkChannel, path: str) -> None:
        """Write a stream to a file, or nowhere.

        Raises:
            OSError: it cannot be written; the stream was read to its end.
        """
        failure: OSError | None = None
        fd = -1
        try:
            try:
                if path:
                    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                    fd = await self.world.run_blocking(os.open, path, flags, 0o600)
            except OSError as error:
                failure = error
            async for piece in channel.receive_data():
                try:
                    if fd >= 0 and failure is None:
                        await self.world.run_blocking(write_all, fd, piece)
                except OSError as error:
                    failure = error
        finally:
            if fd >= 0:
                os.close(fd)
        if failure is not None:
            raise failure


def outputs_in(directory: str) -> list[Output]:
    """Return the map outputs of a session directory, oldest shuffle first."""
    try:
        names = os.listdir(os.path.join(directory, "shuffle"))
    except FileNotFoundError:
        return []
    found = [match.groups() for match in map(INDEX_NAME.fullmatch, names) if match]
    return sorted((ShuffleId(int(shuffle)), TaskId(int(map_id))) for shuffle, map_id in found)


def bytes_in(directory: str) -> int:
    """Return what the map outputs of a session directory take."""
    total = 0
    with contextlib.suppress(OSError), os.scandir(os.path.join(directory, "shuffle")) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # it was removed meanwhile
                total += entry.stat().st_size
    return total


def put_in_place(temporary: Sequence[str], paths: Sequence[str]) -> None:
    """Rename the files of one output, the data before the index, which says that it is there."""
    for source, path in reversed(list(zip(temporary, paths, strict=True))):
        os.replace(source, path)


def remove(paths: Sequence[str]) -> None:
    """Remove files that are there."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
