"""Executors fetch from the driver and from each other: whole envs on a network in memory."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from minispark.conf import SparkConf
from minispark.errors import MiniSparkError
from minispark.ids import BroadcastId, ExecutorId
from minispark.messages.endpoints import BROADCAST_MASTER
from minispark.messages.task import BlockManagerId
from minispark.rpc.env import RpcEnv
from minispark.storage.broadcast_fetcher import BroadcastFetcher
from minispark.storage.broadcast_master import BroadcastMaster
from minispark.storage.broadcast_store import SERVICE, BroadcastStore
from minispark.testing.fakes import RecordingRef
from minispark.testing.memory_network import MemoryNetwork
from minispark.testing.virtual_loop import VirtualWorld, run_virtual, settle

ID = BroadcastId(3)
CONTENT = bytes(number % 253 for number in range(1000))


class Node:
    """An env with a store: the driver's or an executor's."""

    def __init__(self, name: str, folder: Path, network: MemoryNetwork, conf: SparkConf) -> None:
        self.folder = folder / name
        (self.folder / "blocks").mkdir(parents=True)
        (self.folder / "token").touch()
        self.env = RpcEnv(name, VirtualWorld(len(name), network), conf, secret=b"the secret of an application")
        self.store = BroadcastStore(str(self.folder), self.env.world)
        self.name = name

    async def listen(self, port: int) -> None:
        address = await self.env.listen("127.0.0.1", port)
        self.location = BlockManagerId(ExecutorId(self.name), address.host, address.port, str(self.folder))
        self.env.bulk.serve(SERVICE, self.store.serve)


class Cluster:
    """A driver that has a broadcast, and executors that fetch it."""

    def __init__(self, folder: Path, share: bool) -> None:
        self.conf = SparkConf({"minispark.shuffle.readHostLocal": share}, environment={})
        self.folder, self.network = folder, MemoryNetwork()
        self.driver = Node("driver", folder, self.network, self.conf)
        self.nodes = [self.driver]

    async def start(self, executors: int) -> list[tuple[Node, BroadcastFetcher]]:
        await self.driver.listen(7000)
        Path(self.driver.store.path_of(ID)).write_bytes(CONTENT)
        self.driver.store.add(ID, len(CONTENT), 100)
        env = self.driver.env
        self.master = BroadcastMaster(self.driver.store, self.driver.location, env.world, env.scope)
        env.setup_endpoint(BROADCAST_MASTER, self.master)
        return [await self.executor(number) for number in range(executors)]

    async def executor(self, number: int) -> tuple[Node, BroadcastFetcher]:
        node = Node(f"executor{'-' * number}", self.folder, self.network, self.conf)
        self.nodes.append(node)
        await node.listen(7001 + number)
        master = node.env.bind(BROADCAST_MASTER, self.driver.env.address)
        return node, BroadcastFetcher(node.env, node.store, node.location, master, self.conf)


def with_cluster(folder: Path, scenario: Callable[[Cluster], Awaitable[None]], *, share: bool = False) -> None:
    async def run() -> None:
        cluster = Cluster(folder, share)
        try:
            await scenario(cluster)
        finally:
            for node in cluster.nodes:
                await node.env.close()

    run_virtual(run())


def test_all_pieces_come_and_the_executor_becomes_a_source(tmp_path: Path) -> None:
    async def scenario(cluster: Cluster) -> None:
        ((node, fetcher),) = await cluster.start(1)
        supply = RecordingRef("Supply", node.env.address)

        path = await fetcher.fetch(ID, supply)

        assert Path(path).read_bytes() == CONTENT
        assert [holder.location for holder in cluster.master.table.holders(ID)] == [node.location]
        assert node.store.complete(ID) == path

    with_cluster(tmp_path, scenario)


def test_an_executor_serves_another_when_the_drivers_copy_is_damaged(tmp_path: Path) -> None:
    async def scenario(cluster: Cluster) -> None:
        (one, first), (two, second) = await cluster.start(2)
        await first.fetch(ID, RecordingRef("Supply", one.env.address))
        Path(cluster.driver.store.path_of(ID)).write_bytes(bytes(1000))  # after the checksums were made

        path = await second.fetch(ID, RecordingRef("Supply", two.env.address))

        assert Path(path).read_bytes() == CONTENT

    with_cluster(tmp_path, scenario)


def test_when_all_copies_are_damaged_the_error_says_so_and_nothing_is_left(tmp_path: Path) -> None:
    async def scenario(cluster: Cluster) -> None:
        (one, first), (two, second) = await cluster.start(2)
        await first.fetch(ID, RecordingRef("Supply", one.env.address))
        for store in (cluster.driver.store, one.store):
            Path(store.path_of(ID)).write_bytes(bytes(1000))

        with pytest.raises(MiniSparkError, match=r"broadcast 3 cannot be fetched.*checksum.*checksum"):
            await second.fetch(ID, RecordingRef("Supply", two.env.address))

        assert two.store.stored == {}
        assert list((two.folder / "blocks").iterdir()) == []

    with_cluster(tmp_path, scenario)


def test_a_source_that_is_gone_is_passed_over(tmp_path: Path) -> None:
    async def scenario(cluster: Cluster) -> None:
        (one, first), (two, second) = await cluster.start(2)
        await first.fetch(ID, RecordingRef("Supply", one.env.address))
        one.store.remove(ID)  # the master has not heard of it

        assert Path(await second.fetch(ID, RecordingRef("Supply", two.env.address))).read_bytes() == CONTENT

    with_cluster(tmp_path, scenario)


def test_executors_of_a_host_share_the_file(tmp_path: Path) -> None:
    async def scenario(cluster: Cluster) -> None:
        ((node, fetcher),) = await cluster.start(1)

        path = await fetcher.fetch(ID, RecordingRef("Supply", node.env.address))

        assert Path(path).samefile(cluster.driver.store.path_of(ID))
        assert node.store.complete(ID) == path

    with_cluster(tmp_path, scenario, share=True)


def test_of_executors_that_share_one_fetches_and_the_others_take_its_file(tmp_path: Path) -> None:
    async def scenario(cluster: Cluster) -> None:
        (one, first), (two, second) = await cluster.start(2)
        (cluster.driver.folder / "token").unlink()  # the driver is on another host
        fetches = [
            node.env.scope.spawn(fetcher.fetch(ID, RecordingRef("Supply", node.env.address)), name="fetch")
            for node, fetcher in ((one, first), (two, second))
        ]

        paths = [await fetch for fetch in fetches]

        assert Path(paths[0]).samefile(paths[1])
        assert Path(paths[0]).read_bytes() == CONTENT

    with_cluster(tmp_path, scenario, share=True)


def test_a_broadcast_that_was_removed_is_an_error_that_says_why(tmp_path: Path) -> None:
    async def scenario(cluster: Cluster) -> None:
        ((node, fetcher),) = await cluster.start(1)
        supply = RecordingRef("Supply", node.env.address)
        await fetcher.fetch(ID, supply)
        cluster.driver.store.remove(ID)
        cluster.master.remove(ID, "destroyed at app.py:3")
        node.store.remove(ID)

        with pytest.raises(MiniSparkError, match=r"destroyed at app\.py:3"):
            await fetcher.fetch(ID, supply)
        await settle()
        cluster.master.table.assert_empty()
        assert cluster.master.supplies == {}

    with_cluster(tmp_path, scenario)
