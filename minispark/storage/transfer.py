"""Blocks between processes: the bulk service "blocks" of an env, and the channels to those of others.

A composition root makes one `BlockService` and one `Transfer` per env. What a request means is told to the service
by whoever serves it (`add`): files of blocks here, map outputs in `shuffle.service`. Requests carry ids; a file is
opened only where the server itself says that such blocks lie. Source: Spark's NettyBlockTransferService.
"""

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Container
from typing import Any, Final, Protocol, TypeVar

from minispark.errors import ProtocolError, RpcTimeout
from minispark.ids import BlockId, ExecutorId
from minispark.messages.task import BlockManagerId
from minispark.messages.transfer import BlockHead, FetchBlock, RemoveBlockFile, RemoveMapOutputs, Taken
from minispark.rpc.bulk import BulkChannel
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.message import Attachment, Message
from minispark.rpc.world import World

__all__ = [
    "BLOCKS",
    "BlockFiles",
    "BlockService",
    "Directories",
    "OwnDirectory",
    "Transfer",
    "address_of",
    "patience_with",
    "realm_of",
]

BLOCKS: Final = "blocks"
BLOCK_ID: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,199}(\.[0-9]+)?")  # of a block, or of a file of it
IDLE_S: Final = 30.0  # how long a channel that nobody uses stays open
MAX_IDLE: Final = 8  # of one peer

Answer = Callable[[BulkChannel, Any], Awaitable[None]]
M = TypeVar("M", bound=Message)


class Directories(Protocol):
    """Which session directories an env serves."""

    def directory_of(self, realm: str, executor_id: ExecutorId) -> str | None:
        """Return an executor's session directory; None if it is not served to peers of that realm."""


class OwnDirectory:
    """The directory of the one executor that this process is; fulfils `Directories`."""

    def __init__(self, location: BlockManagerId) -> None:
        self.location = location

    def directory_of(self, realm: str, executor_id: ExecutorId) -> str | None:
        """Return it; the env lets in only peers of its own application."""
        return self.location.directory if executor_id == self.location.executor_id else None


def realm_of(channel: BulkChannel) -> str:
    """Return the realm whose secret the peer of a channel has proved."""
    return channel.connection.realm


def address_of(location: BlockManagerId) -> RpcAddress:
    """Return where the blocks of a location are served."""
    return RpcAddress(location.host, location.port)


class BlockService:
    """The service "blocks" of one env: answers one request of a channel after another.

    Args:
        env: listens.
        realms: whose peers it answers; by default those of the env's own realm.
    """

    def __init__(self, env: RpcEnv, realms: Container[str] | None = None) -> None:
        self.answers: dict[type[Message], Answer] = {}
        env.bulk.serve(BLOCKS, self.serve, realms=realms)

    def add(self, kind: type[Message], answer: Answer) -> None:
        """Have requests of a class answered; the answer may send messages and streams."""
        assert kind not in self.answers, kind
        self.answers[kind] = answer

    async def serve(self, channel: BulkChannel) -> None:
        """Serve a channel until the peer closes it."""
        while True:
            request = await channel.receive()
            answer = self.answers.get(type(request))
            if answer is None:
                raise ProtocolError(f"this process does not answer a {type(request).__name__}")
            await answer(channel, request)


class BlockFiles:
    """Serves blocks that are files in `blocks/` of session directories.

    Args:
        world: opens files off the loop.
        directories: which directories are served.

    Attributes:
        find: tells where a block is that does not lie there under its own name; set by who keeps such blocks.
    """

    def __init__(self, world: World, directories: Directories) -> None:
        self.world = world
        self.directories = directories
        self.find: Callable[[BlockId], str | None] = lambda block_id: None

    def add_to(self, service: BlockService) -> None:
        """Have a service answer with these blocks."""
        service.add(FetchBlock, self.send_block)
        service.add(RemoveBlockFile, self.remove_block)

    async def send_block(self, channel: BulkChannel, request: FetchBlock) -> None:
        """Send a block, or that it is not here."""
        path = self.path_of(realm_of(channel), request.executor_id, request.block_id)
        fd = await self.world.run_blocking(open_block, path)
        if fd is None:
            await channel.send(BlockHead(-1))
            return
        try:
            size = os.fstat(fd).st_size
            await channel.send(BlockHead(size))
            await channel.send_file(fd, 0, size)
            await channel.end(size)
        finally:
            os.close(fd)

    async def remove_block(self, channel: BulkChannel, request: RemoveBlockFile) -> None:
        """Remove a block, if it is here."""
        path = self.path_of(realm_of(channel), request.executor_id, request.block_id)
        await self.world.run_blocking(unlink, path)
        await channel.send(Taken())

    def path_of(self, realm: str, executor_id: ExecutorId, block_id: BlockId) -> str | None:
        """Return where a block would lie; None if that executor's blocks are not served here.

        Raises:
            ProtocolError: this is no block's id.
        """
        if not BLOCK_ID.fullmatch(block_id):
            raise ProtocolError(f"{block_id!r} is not the id of a block")
        directory = self.directories.directory_of(realm, executor_id)
        if directory is None:
            return None
        return self.find(block_id) or os.path.join(directory, "blocks", block_id)


def open_block(path: str | None) -> int | None:
    """Open a block's file; None if there is none."""
    if path is None:
        return None
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None


def unlink(path: str | None) -> None:
    """Remove a file, if it is there."""
    if path is not None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


class Transfer:
    """Channels to the "blocks" services of other envs, used again while they are open.

    Args:
        env: dials, under its own realm.
    """

    def __init__(self, env: RpcEnv) -> None:
        self.env = env
        self.idle: dict[RpcAddress, list[BulkChannel]] = {}
        self.timers: dict[BulkChannel, asyncio.TimerHandle] = {}

    @contextlib.asynccontextmanager
    async def channel(self, address: RpcAddress) -> AsyncIterator[BulkChannel]:
        """Lend a channel; after an error, or a cancel, it is closed, because nobody knows where its stream stands.

        Raises:
            PeerRefused: nobody listens there.
            RpcError: the peer cannot be reached.
        """
        channel = self.take_idle(address) or await self.env.bulk.open(address, BLOCKS)
        try:
            yield channel
        except BaseException:
            channel.close()
            raise
        self.keep(address, channel)

    def take_idle(self, address: RpcAddress) -> BulkChannel | None:
        """Return an open channel that nobody uses, the one used last."""
        waiting = self.idle.get(address)
        while waiting:
            channel = waiting.pop()
            self.timers.pop(channel).cancel()
            if channel.connection.usable:
                return channel
        return None

    def keep(self, address: RpcAddress, channel: BulkChannel) -> None:
        """Keep a channel for the next user, for a while."""
        waiting = self.idle.setdefault(address, [])
        if len(waiting) >= MAX_IDLE or not channel.connection.usable:
            channel.close()
            return
        waiting.append(channel)
        self.timers[channel] = self.env.world.call_later(IDLE_S, self.expire, address, channel)

    def expire(self, address: RpcAddress, channel: BulkChannel) -> None:
        """Close a channel that nobody has used for a while."""
        del self.timers[channel]
        self.idle[address].remove(channel)
        if not self.idle[address]:
            del self.idle[address]
        channel.close()

    def close(self) -> None:
        """Close the channels that nobody uses; the env's end closes the others."""
        for timer in self.timers.values():
            timer.cancel()
        for waiting in self.idle.values():
            for channel in waiting:
                channel.close()
        self.timers.clear()
        self.idle.clear()

    async def fetch_block(
        self, location: BlockManagerId, block_id: BlockId, *, max_bytes: int | None = None
    ) -> bytearray | None:
        """Return a block of another executor; None if it is not there.

        Args:
            location: who has it.
            block_id: its name.
            max_bytes: a larger one is refused.

        Raises:
            RpcError: it cannot be fetched now, also because the peer is silent for `minispark.network.timeout`.
        """
        silence_s = self.env.conf.network_timeout
        async with patience_with(location, silence_s) as patience, self.channel(address_of(location)) as channel:
            clock = asyncio.get_running_loop().time
            await channel.send(FetchBlock(location.executor_id, block_id))
            head = await expect(channel, BlockHead)
            if head.size_bytes < 0:
                return None
            if max_bytes is not None and head.size_bytes > max_bytes:
                raise ProtocolError(f"{block_id} has {head.size_bytes} bytes, more than the {max_bytes} expected")
            content = bytearray()
            async for piece in channel.receive_data():
                patience.reschedule(clock() + silence_s)
                content += piece
        if len(content) != head.size_bytes:
            raise ProtocolError(f"{block_id} came with {len(content)} bytes instead of {head.size_bytes}")
        return content

    async def fetch_block_to_file(self, location: BlockManagerId, block_id: BlockId, path: str) -> int | None:
        """Write a block of another executor into a file, which must not exist; return its size, None if not there.

        Raises:
            RpcError: it cannot be fetched now, also because the peer is silent for `minispark.network.timeout`;
                nothing is left of the file.
            OSError: the file cannot be written; nothing is left of it.
        """
        silence_s = self.env.conf.network_timeout
        async with patience_with(location, silence_s) as patience, self.channel(address_of(location)) as channel:
            await channel.send(FetchBlock(location.executor_id, block_id))
            head = await expect(channel, BlockHead)
            if head.size_bytes < 0:
                return None
            clock = asyncio.get_running_loop().time
            await write_stream(self.env.world, channel, path, lambda: patience.reschedule(clock() + silence_s))
        return head.size_bytes

    async def remove_block(self, location: BlockManagerId, block_id: BlockId) -> None:
        """Remove a block's file at another executor.

        Raises:
            RpcError: it cannot be reached, or is silent for `minispark.network.timeout`.
        """
        await self.have_done(location, RemoveBlockFile(location.executor_id, block_id))

    async def remove_outputs(self, location: BlockManagerId, request: RemoveMapOutputs) -> None:
        """Have map outputs removed by whoever serves them.

        Raises:
            RpcError: it cannot be reached, or is silent for `minispark.network.timeout`.
        """
        await self.have_done(location, request)

    async def have_done(self, location: BlockManagerId, request: Message) -> None:
        """Send a request that is answered when it has been done.

        Raises:
            RpcError: the peer cannot be reached, or is silent.
        """
        silence_s = self.env.conf.network_timeout
        async with patience_with(location, silence_s), self.channel(address_of(location)) as channel:
            await channel.send(request)
            await expect(channel, Taken)


async def expect(channel: BulkChannel, kind: type[M]) -> M:
    """Return the peer's next message, which must be of a class.

    Raises:
        RpcError: it is of another, the peer failed, or the connection ended.
    """
    got = await channel.receive()
    if not isinstance(got, kind):
        raise ProtocolError(f"{channel.peer} sent a {type(got).__name__} instead of a {kind.__name__}")
    return got


@contextlib.asynccontextmanager
async def patience_with(location: BlockManagerId, silence_s: float) -> AsyncIterator[asyncio.Timeout]:
    """Wait for a peer no longer than that; whoever hears of it reschedules the end.

    Raises:
        RpcTimeout: it was silent. A host that is switched off does not end its connections.
    """
    try:
        async with asyncio.timeout(silence_s) as patience:
            yield patience
    except TimeoutError:
        raise RpcTimeout(f"{location} was silent for {silence_s:g} s (minispark.network.timeout)") from None


async def write_stream(
    world: World, channel: BulkChannel, path: str, arrived: Callable[[], object] = lambda: None
) -> None:
    """Write a stream into a new file, off the loop, saying that of each piece; on an error nothing is left of it."""
    fd = await world.run_blocking(os.open, path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        async for piece in channel.receive_data():
            arrived()
            await world.run_blocking(write_all, fd, piece)
    except BaseException:
        unlink(path)
        raise
    finally:
        os.close(fd)


def write_all(fd: int, data: Attachment) -> None:
    """Write all of some bytes."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
