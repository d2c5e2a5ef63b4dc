"""Two executors of one application, on a network in memory: one serves what an `Exchange` wrote, one fetches it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from minispark.ids import ExecutorId, TaskId
from minispark.messages.fetching import FetchedBlocks, FetchOpened, NextFetched, OpenFetch, PeerBlocks
from minispark.messages.task import BlockManagerId
from minispark.shuffle.executor_data import ExecutorData
from minispark.testing.virtual_loop import run_virtual
from tests.rpc.peers import Peers, peers
from tests.shuffle.outputs import SHUFFLE, Exchange, dependency, session

TASK = TaskId(77)


class Hosts:
    """A server and a client.

    Attributes:
        exchange: what the server has.
        data: the client's.
        net: the network between them.
    """

    def __init__(self, path: Path, net: Peers) -> None:
        self.net = net
        (path / "client" / "blocks").mkdir(parents=True)
        (path / "server" / "blocks").mkdir(parents=True)
        there = replace(session(path / "server", "1"), host=net.address.host, port=net.address.port)
        self.exchange = Exchange(there, dependency(1))
        self.served = ExecutorData(net.server, there)
        here = BlockManagerId(ExecutorId("2"), "client", 0, str(path / "client"))
        self.data = ExecutorData(net.client, here)
        self.fetcher = self.data.fetcher

    @property
    def location(self) -> BlockManagerId:
        """Where the server's outputs are."""
        return self.exchange.location

    def map_ids(self) -> list[TaskId]:
        """Return the ids of the outputs that were written."""
        statuses = self.exchange.table.of(SHUFFLE).statuses
        return [status.map_id for status in statuses if status is not None]

    async def ask(self, request: Any) -> Any:
        """Ask the fetcher as a runner does."""
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.fetcher.asked(TASK, request, answered.set_result)
        return await answered

    async def open(self, *requests: PeerBlocks) -> int:
        """Begin to fetch."""
        opened = await self.ask(OpenFetch(SHUFFLE, 0, requests))
        assert isinstance(opened, FetchOpened)
        return opened.fetch_id

    async def open_all(self, size_bytes: int = 1000) -> int:
        """Begin to fetch all outputs, each by a request of its own."""
        return await self.open(*(PeerBlocks(self.location, (map_id,), size_bytes) for map_id in self.map_ids()))

    async def next(self, fetch_id: int) -> FetchedBlocks:
        """Return what arrived next."""
        fetched = await self.ask(NextFetched(fetch_id))
        assert isinstance(fetched, FetchedBlocks)
        return fetched

    def files(self) -> list[str]:
        """Return the names of the files that the client keeps."""
        return sorted(path.name for path in Path(self.data.location.directory, "blocks").iterdir())


def with_hosts(path: Path, scenario: Callable[[Hosts], Awaitable[None]], **settings: Any) -> None:
    """Run a scenario between two executors, in virtual time."""

    async def main() -> None:
        async with peers(**settings) as net:
            hosts = Hosts(path, net)
            try:
                await scenario(hosts)
            finally:
                hosts.fetcher.attempt_ended(TASK, True)
                hosts.data.close()

    run_virtual(main())
