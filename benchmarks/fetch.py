"""How fast shuffle data comes from another process: 1 GB, by the fetcher's own requests, into memory.

By hand: a blocking `os.sendfile` of the same file to a process that receives into one buffer. In either way the
sender is a process of its own, started for each run, and the data is in the page cache. `details.file` is what the
fetcher itself does with large answers: verified, and written to files of the session directory.
"""

import asyncio
import os
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import Result, compare
from minispark.conf import SparkConf
from minispark.ids import ExecutorId, ShuffleId, TaskId
from minispark.messages.fetching import FetchedBlocks, FetchOpened, NextFetched, OpenFetch, PeerBlocks
from minispark.messages.task import BlockManagerId
from minispark.messages.transfer import FetchMapOutputs, MapOutputsHead
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.world import SystemWorld
from minispark.shuffle.executor_data import ExecutorData
from minispark.shuffle.files import MapOutputFile, map_output_paths
from minispark.storage.transfer import address_of, expect

__all__ = ["run"]

SECRET = b"benchmark-secret"
SHUFFLE = ShuffleId(1)
MAPS = 32
MAP_BYTES = 32 << 20
QUICK_DIVISOR = 16
CACHED_BYTES = 256 << 10  # the tuned form's buffer: what is received stays in the processor's cache


def write_outputs(directory: str, map_bytes: int) -> list[TaskId]:
    """Write map outputs of one reducer each; return their ids."""
    os.makedirs(os.path.join(directory, "shuffle"))
    os.makedirs(os.path.join(directory, "blocks"))
    Path(directory, "token").touch()
    chunk = os.urandom(1 << 20)
    ids = [TaskId(number) for number in range(MAPS)]
    for map_id in ids:
        with MapOutputFile(directory, SHUFFLE, map_id, 1) as output:
            output.append(chunk for _ in range(map_bytes >> 20))
            output.commit()
    return ids


async def serve(directory: str) -> None:
    """Be the process that has the data, until stdin ends; say where it is."""
    env = RpcEnv("server", SystemWorld(), SparkConf(environment={}), secret=SECRET)
    address = await env.listen("127.0.0.1")
    ExecutorData(env, BlockManagerId(ExecutorId("1"), address.host, address.port, directory))
    print(address.port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await env.close()


def send_by_hand(directory: str) -> None:
    """Be the process that has the data, and send it all to whoever connects."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        peer, _ = server.accept()
        with peer:
            for map_id in range(MAPS):
                with open(map_output_paths(directory, SHUFFLE, TaskId(map_id))[0], "rb") as data:
                    left, offset = os.fstat(data.fileno()).st_size, 0
                    while left:
                        sent = os.sendfile(peer.fileno(), data.fileno(), offset, left)
                        offset, left = offset + sent, left - sent


class Sender:
    """A process that has the data; `port` is where."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.port = port

    @classmethod
    async def start(cls, kind: str, directory: str) -> "Sender":
        """Start one."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.fetch", kind, directory,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        return cls(process, int(await process.stdout.readline()))

    async def stop(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        await self.process.wait()


class Fetching:
    """What both ways read, and how they count."""

    def __init__(self, directory: str, map_bytes: int) -> None:
        self.directory = directory
        self.ids = write_outputs(os.path.join(directory, "there"), map_bytes)
        os.makedirs(os.path.join(directory, "here", "blocks"))
        self.size = MAPS * map_bytes
        self.map_bytes = map_bytes
        self.there = os.path.join(directory, "there")

    def rate(self, start: float) -> float:
        """Return MB a second."""
        return self.size / 1e6 / (time.perf_counter() - start)

    async def ours(self) -> float:
        """Stream everything, in requests of one map output, and count the bytes."""
        sender = await Sender.start("serve", self.there)
        env, data, there = self.reader(sender.port)
        received, start = 0, 0.0
        async with data.transfer.channel(RpcAddress("127.0.0.1", sender.port)) as channel:
            start = time.perf_counter()
            for map_id in self.ids:
                await channel.send(FetchMapOutputs(there.executor_id, SHUFFLE, 0, (map_id,)))
                await expect(channel, MapOutputsHead)
                async for piece in channel.receive_data():
                    received += len(piece)
        rate = self.rate(start)
        assert received == self.size, received
        await self.end(env, data, sender)
        return rate

    async def to_files(self) -> float:
        """Fetch everything as a task does: in flight 48 MB, verified, written to files."""
        sender = await Sender.start("serve", self.there)
        env, data, there = self.reader(sender.port)
        assert address_of(there).port == sender.port
        requests = tuple(PeerBlocks(there, (map_id,), self.map_bytes) for map_id in self.ids)
        start = time.perf_counter()
        opened = await self.ask(data, OpenFetch(SHUFFLE, 0, requests))
        assert isinstance(opened, FetchOpened)
        received = 0
        for _ in requests:
            fetched = await self.ask(data, NextFetched(opened.fetch_id))
            assert isinstance(fetched, FetchedBlocks)
            assert not fetched.problem, fetched.problem
            received += sum(fetched.sizes)
        rate = self.rate(start)
        assert received == self.size, received
        data.fetcher.attempt_ended(TaskId(1), True)
        await self.end(env, data, sender)
        return rate

    def reader(self, port: int) -> tuple[RpcEnv, ExecutorData, BlockManagerId]:
        """Return the reading side, and where the data is."""
        env = RpcEnv("reader", SystemWorld(), SparkConf(environment={}), secret=SECRET)
        here = BlockManagerId(ExecutorId("2"), "127.0.0.1", 0, os.path.join(self.directory, "here"))
        return env, ExecutorData(env, here), BlockManagerId(ExecutorId("1"), "127.0.0.1", port, self.there)

    async def end(self, env: RpcEnv, data: ExecutorData, sender: Sender) -> None:
        """End both sides."""
        data.close()
        await env.close()
        await sender.stop()

    async def ask(self, data: ExecutorData, request: Any) -> Any:
        """Ask the fetcher as a runner does."""
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        data.fetcher.asked(TaskId(1), request, answered.set_result)
        return await answered

    async def by_hand(self, buffer_bytes: int = 1 << 20) -> float:
        """Receive everything into one buffer."""
        sender = await Sender.start("sendfile", self.there)
        rate = await asyncio.get_running_loop().run_in_executor(None, self.receive, sender.port, buffer_bytes)
        await sender.stop()
        return rate

    def receive(self, port: int, buffer_bytes: int) -> float:
        """Receive; blocking."""
        buffer = bytearray(buffer_bytes)
        with socket.create_connection(("127.0.0.1", port)) as source:
            received, start = 0, time.perf_counter()
            while received < self.size:
                received += source.recv_into(buffer)
        return self.rate(start)


async def measure(quick: bool) -> Result:
    """Compare."""
    directory = tempfile.mkdtemp(prefix="minispark-benchmark-")  # its files stay in the page cache, on a disk too
    try:
        fetching = Fetching(directory, MAP_BYTES // (QUICK_DIVISOR if quick else 1))
        details: dict[str, Any] = {"bytes": fetching.size}
        result = await compare(
            "fetch", "MB/s", "higher", ours=fetching.ours, by_hand=fetching.by_hand,
            tuned=lambda: fetching.by_hand(CACHED_BYTES), quick=quick, details=details,
        )  # fmt: skip
        result.details["file"] = [await fetching.to_files() for _ in range(1 if quick else 3)]
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return result


def run(quick: bool = False) -> Result:
    """Measure."""
    return asyncio.run(measure(quick))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve(sys.argv[2]))
    else:
        send_by_hand(sys.argv[2])
