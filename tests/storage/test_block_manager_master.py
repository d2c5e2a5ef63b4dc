from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from minispark.errors import RpcError
from minispark.ids import BlockId, ExecutorId, RddId
from minispark.messages.blocks import (
    BlockFile,
    BlockInfoUpdated,
    BlockLocations,
    BlockRemoved,
    DecommissionBlockManager,
    GetLocations,
    RegisterBlockManager,
    RemoveBlock,
    RemoveExecutorBlocks,
    RemoveHostBlocks,
    RemoveRddBlocks,
    ReplicateBlock,
    ToBlockManagerMaster,
    UpdateBlockInfo,
)
from minispark.messages.storage_level import StorageLevel
from minispark.messages.task import BlockManagerId, TaskLocation
from minispark.rpc.message import Message
from minispark.rpc.scope import TaskScope
from minispark.scheduler.logic.executor_monitor import ExecutorMonitor, MonitorRules
from minispark.storage.block_manager_master import BlockManagerMaster
from minispark.testing.fakes import RecordingContext, RecordingRef
from minispark.testing.virtual_loop import VirtualWorld, run_virtual, settle

BLOCK, OTHER = BlockId("rdd_1_0"), BlockId("rdd_1_1")
NOWHERE = BlockLocations((), ())
REPLICATED = StorageLevel.MEMORY_ONLY_2


def session(path: Path, executor: str = "driver") -> BlockManagerId:
    (path / "blocks").mkdir(parents=True)
    (path / "token").write_text("secret")
    return BlockManagerId(ExecutorId(executor), "localhost", 0, str(path))


def report(location: BlockManagerId, path: Path | str) -> UpdateBlockInfo:
    return UpdateBlockInfo(location, BLOCK, str(path), 4)


def register(location: BlockManagerId, manager: RecordingRef | None = None) -> RegisterBlockManager:
    return RegisterBlockManager(location, 1 << 20, manager or RecordingRef("BlockManager"))


def answers(messages: Sequence[ToBlockManagerMaster], watcher: Any = None) -> list[Message]:
    """Let the master handle messages; return its replies, but for that a report is noted."""
    context = RecordingContext()

    async def handle() -> None:
        scope = TaskScope("test")
        master = BlockManagerMaster(VirtualWorld(), scope)
        master.watcher = watcher
        for message in messages:
            master.receive(message, context)
            master.table.check()
        await settle()
        await scope.close()

    run_virtual(handle())
    return [reply for reply in context.replies if reply != BlockInfoUpdated(True)]


@pytest.mark.scenario("BLK-002", "master + 1/2 managers")
@pytest.mark.scenario("BLK-008", "locations")
def test_holders_of_a_block_are_told(tmp_path: Path) -> None:
    first, second = session(tmp_path / "1", "1"), session(tmp_path / "2", "2")

    asks: list[ToBlockManagerMaster] = [
        report(first, "f"),
        GetLocations(BLOCK),
        report(second, "g"),
        GetLocations(BLOCK),
        GetLocations(OTHER),
    ]
    replies = answers([register(first), register(second), *asks])

    one, other = BlockFile("f"), BlockFile("g")
    assert replies == [BlockLocations((first,), (one,)), BlockLocations((first, second), (one, other)), NOWHERE]


def test_who_dropped_a_block_holds_it_no_more(tmp_path: Path) -> None:
    location = session(tmp_path / "1")

    asks: list[ToBlockManagerMaster] = [
        register(location),
        report(location, "f"),
        report(location, ""),
        GetLocations(BLOCK),
    ]

    assert answers(asks) == [NOWHERE]


def test_a_lost_executor_holds_nothing_any_more(tmp_path: Path) -> None:
    location = session(tmp_path / "1", "1")

    asks: list[ToBlockManagerMaster] = [
        register(location),
        report(location, "f"),
        RemoveExecutorBlocks(ExecutorId("1")),
        GetLocations(BLOCK),
    ]

    assert answers(asks) == [NOWHERE]


@pytest.mark.scenario("BLK-002", "remove block, RDD, broadcast (driver kept or not)")
def test_removing_a_block_deletes_its_files_and_then_answers(tmp_path: Path) -> None:
    location = session(tmp_path / "1")
    path = tmp_path / "1" / "blocks" / BLOCK
    path.write_text("data")

    replies = answers([register(location), report(location, path), RemoveBlock(BLOCK), RemoveBlock(BLOCK)])

    assert replies == [BlockRemoved(1), BlockRemoved(0)]
    assert not path.exists()


def test_a_path_outside_of_the_blocks_is_not_deleted(tmp_path: Path) -> None:
    location = session(tmp_path / "1")
    path = tmp_path / "precious"
    path.write_text("data")

    answers([register(location), report(location, path), RemoveBlock(BLOCK)])

    assert path.exists()


def test_files_in_a_directory_of_another_host_are_left_alone(tmp_path: Path) -> None:
    location = session(tmp_path / "1")
    path = tmp_path / "1" / "blocks" / BLOCK
    path.write_text("data")
    (tmp_path / "1" / "token").unlink()

    answers([register(location), report(location, path), RemoveBlock(BLOCK)])

    assert path.exists()


class Watcher:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def block_updated(self, *news: Any) -> None:
        self.told.append(news)


@pytest.mark.scenario("BLK-004", "re-registration on heartbeat, on block update, no deadlock")
@pytest.mark.scenario("BLK-009", "30594: no listener event if the master refused the update")
def test_an_update_of_an_unknown_executor_is_refused_and_nobody_hears_of_it(tmp_path: Path) -> None:
    location, watcher = session(tmp_path / "1", "1"), Watcher()

    replies = answers([report(location, "f"), GetLocations(BLOCK)], watcher)

    assert replies == [BlockInfoUpdated(False), NOWHERE]
    assert watcher.told == []
    answers([register(location), report(location, "f")], watcher)
    assert watcher.told == [("1", 1, 0, True)]


@pytest.mark.scenario("BLK-004", "41360 no re-registration of a lost executor")
def test_a_lost_executor_is_not_taken_back(tmp_path: Path) -> None:
    location = session(tmp_path / "1", "1")
    gone = RemoveExecutorBlocks(ExecutorId("1"))

    replies = answers([register(location), gone, register(location), report(location, "f"), GetLocations(BLOCK)])

    assert replies == [BlockInfoUpdated(False), NOWHERE]


def test_who_registers_again_says_anew_what_it_holds(tmp_path: Path) -> None:
    location = session(tmp_path / "1", "1")

    replies = answers([register(location), report(location, "f"), register(location), GetLocations(BLOCK)])

    assert replies == [NOWHERE]


@pytest.mark.scenario("HIS-005", "BlockManagerReplication")
@pytest.mark.scenario("BLK-010", "decommission: not a peer")
@pytest.mark.parametrize("leaves", [False, True])
def test_an_executor_that_is_to_go_gets_no_copies(tmp_path: Path, leaves: bool) -> None:
    holder, peer = session(tmp_path / "1", "1"), session(tmp_path / "2", "2")
    manager = RecordingRef("BlockManager")
    orders = [DecommissionBlockManager(ExecutorId("2"))] if leaves else []
    stored = UpdateBlockInfo(holder, BLOCK, "f", 4, True, 0, REPLICATED, 1)

    answers([register(holder), register(peer, manager), *orders, stored])

    assert manager.sent == ([] if leaves else [ReplicateBlock(RddId(1), 0, REPLICATED, 1)])


@pytest.mark.scenario("HIS-005", "BlockManagerReplication")
def test_a_replicated_block_is_copied_again_when_one_of_its_holders_is_lost(tmp_path: Path) -> None:
    places = [session(tmp_path / name, name) for name in "123"]
    managers = [RecordingRef("BlockManager") for _ in places]
    stored = [UpdateBlockInfo(place, BLOCK, "f", 4, True, 0, REPLICATED, 1) for place in places[:2]]

    answers([*map(register, places, managers), *stored, RemoveExecutorBlocks(ExecutorId("1"))])

    assert managers[2].sent[-1] == ReplicateBlock(RddId(1), 0, REPLICATED, 1)


@pytest.mark.scenario("BLK-002", "remove block, RDD, broadcast (driver kept or not)")
def test_the_blocks_of_an_rdd_are_forgotten_and_all_executors_told(tmp_path: Path) -> None:
    location, manager = session(tmp_path / "1", "1"), RecordingRef("BlockManager")

    async def scenario() -> Any:
        master = BlockManagerMaster(VirtualWorld(), TaskScope("test"))
        master.receive(register(location, manager), RecordingContext())
        master.receive(report(location, "f"), RecordingContext())
        master.remove_rdd(RddId(1), 3)
        master.table.assert_empty()
        return manager.sent

    assert run_virtual(scenario()) == [RemoveRddBlocks(RddId(1), 3)]


@pytest.mark.scenario("BLK-003")
def test_of_an_rdd_that_goes_all_but_lost_executors_are_told_and_nobody_is_waited_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        master = BlockManagerMaster(VirtualWorld(), TaskScope("test"))
        managers = [RecordingRef("BlockManager") for _ in "123"]
        for name, manager in zip("123", managers, strict=True):
            master.receive(register(session(tmp_path / name, name), manager), RecordingContext())
        master.receive(RemoveExecutorBlocks(ExecutorId("2")), RecordingContext())
        master.remove_rdd(RddId(1), 1)
        told = [RemoveRddBlocks(RddId(1), 1)]
        assert [manager.sent for manager in managers] == [told, [], told]

    run_virtual(scenario())


class Channels:
    """The driver's channels to shuffle services: notes what is removed there."""

    def __init__(self) -> None:
        self.removed: list[tuple[BlockManagerId, BlockId]] = []

    async def remove_block(self, location: BlockManagerId, name: BlockId) -> None:
        self.removed.append((location, name))
        if location.host == "unreachable":
            raise RpcError("nobody listens")


AWAY = BlockManagerId(ExecutorId("1"), "away", 7000, "/sessions/1")
AT_SERVICE = replace(AWAY, port=7337)


def served_master(*updates: UpdateBlockInfo, location: BlockManagerId = AWAY) -> tuple[BlockManagerMaster, Channels]:
    """Return a master that has heard of blocks of an executor, and what it uses to remove files."""
    channels = Channels()
    master = BlockManagerMaster(VirtualWorld(), TaskScope("test"))
    master.transfer = lambda: cast(Any, channels)
    messages: list[ToBlockManagerMaster] = [register(location), *updates]
    for message in messages:
        master.receive(message, RecordingContext())
    return master, channels


def on_disk(location: BlockManagerId = AWAY) -> UpdateBlockInfo:
    file = f"{location.directory}/blocks/{BLOCK}.5"
    return UpdateBlockInfo(location, BLOCK, file, 4, level=StorageLevel.DISK_ONLY, service_port=7337)


IN_MEMORY = UpdateBlockInfo(AWAY, OTHER, "/dev/shm/x/rdd_1_1.6", 4, True, level=StorageLevel.MEMORY_ONLY)


@pytest.mark.scenario("ESS-001", "25888 disk-persisted RDD blocks served")
def test_blocks_on_disk_outlive_their_executor_where_a_shuffle_service_serves_them() -> None:
    master, _ = served_master(on_disk(), IN_MEMORY)
    context = RecordingContext()

    master.receive(RemoveExecutorBlocks(ExecutorId("1")), RecordingContext())
    for block_id in (BLOCK, OTHER):
        master.receive(GetLocations(block_id), context)

    file = BlockFile("/sessions/1/blocks/rdd_1_0.5", is_served=True)
    assert context.replies == [BlockLocations((AT_SERVICE,), (file,)), NOWHERE]
    assert master.locations(RddId(1)) == [[TaskLocation("away")]]
    master.receive(RemoveHostBlocks("elsewhere"), RecordingContext())
    assert master.locations(RddId(1)) is not None
    master.receive(RemoveHostBlocks("away"), RecordingContext())
    master.table.assert_empty()


def test_a_copy_that_a_shuffle_service_served_is_made_again_when_its_host_is_lost(tmp_path: Path) -> None:
    here, manager = session(tmp_path / "2", "2"), RecordingRef("BlockManager")
    served = replace(on_disk(), level=REPLICATED, generation=1)
    copy = UpdateBlockInfo(here, BLOCK, "f", 4, True, 0, REPLICATED, 1)

    spare = register(session(tmp_path / "3", "3"), manager)

    story: list[ToBlockManagerMaster] = [register(AWAY), register(here), served, copy, spare]
    story.append(RemoveExecutorBlocks(ExecutorId("1")))
    answers(story)
    assert manager.sent == []
    answers([*story, RemoveHostBlocks("away")])
    assert manager.sent == [ReplicateBlock(RddId(1), 0, REPLICATED, 1)]


@pytest.mark.scenario("ESS-001", "37618 blocks of deallocated executors removed")
@pytest.mark.parametrize("host", ["away", "unreachable"])
def test_what_a_shuffle_service_serves_of_an_rdd_goes_when_it_is_persisted_no_more(host: str) -> None:
    async def scenario() -> None:
        location = replace(AWAY, host=host)
        master, channels = served_master(on_disk(location), location=location)
        master.receive(RemoveExecutorBlocks(ExecutorId("1")), RecordingContext())
        master.remove_rdd(RddId(1), 1)
        await settle()
        assert channels.removed == [(replace(location, port=7337), "rdd_1_0.5")]
        master.table.assert_empty()

    run_virtual(scenario())


@pytest.mark.scenario("ESS-001", "37618 blocks of deallocated executors removed")
def test_files_of_an_executor_that_is_gone_are_removed_here_without_its_service(tmp_path: Path) -> None:
    async def scenario() -> None:
        location = session(tmp_path / "1", "1")
        Path(location.directory, "blocks", f"{BLOCK}.5").touch()
        master, _ = served_master(on_disk(location), location=location)
        master.transfer = None
        master.receive(RemoveExecutorBlocks(ExecutorId("1")), RecordingContext())
        master.remove_rdd(RddId(1), 1)
        await settle()
        assert list(tmp_path.glob("1/blocks/*")) == []

    run_virtual(scenario())


@pytest.mark.scenario("ESS-001", "38640 memory-only unpersist")
@pytest.mark.parametrize("lives", [True, False])
def test_no_service_is_asked_about_blocks_in_memory_or_of_an_executor_that_lives(lives: bool) -> None:
    async def scenario() -> None:
        master, channels = served_master(*([on_disk()] if lives else []), IN_MEMORY)
        if not lives:
            master.receive(RemoveExecutorBlocks(ExecutorId("1")), RecordingContext())
        master.remove_rdd(RddId(1), 1)
        await settle()
        assert channels.removed == []
        master.table.assert_empty()

    run_virtual(scenario())


@pytest.mark.scenario("DYN-012", "disk blocks ignored with fetch service")
def test_a_block_that_outlives_its_executor_is_no_reason_to_keep_that() -> None:
    rules = MonitorRules(idle_s=10.0, cached_s=100.0)
    for update, deadline_s in ((on_disk(), 10.0), (replace(on_disk(), service_port=0), 100.0), (IN_MEMORY, 100.0)):
        master, _ = served_master()
        monitor = ExecutorMonitor(rules)
        monitor.added(ExecutorId("1"), 0.0)
        master.watcher = ToMonitor(monitor)
        master.receive(update, RecordingContext())
        assert monitor.timed_out(deadline_s - 1.0) == []
        assert monitor.timed_out(deadline_s) == ["1"]
    # One that leaves the memory for the disk frees its executor, too.
    master.receive(replace(on_disk(), block_id=OTHER), RecordingContext())
    assert monitor.executors[ExecutorId("1")].cached == {}


class ToMonitor:
    """Hands what the master tells to a monitor, at time zero."""

    def __init__(self, monitor: ExecutorMonitor) -> None:
        self.monitor = monitor

    def block_updated(self, executor_id: ExecutorId, rdd_id: RddId, partition: int, is_held: bool) -> None:
        self.monitor.block_updated(executor_id, rdd_id, partition, is_held, 0.0)

    def rdd_removed(self, rdd_id: RddId) -> None:
        self.monitor.rdd_removed(rdd_id, 0.0)


@pytest.mark.scenario("BLK-008", "query statuses, matching ids")
def test_the_table_tells_the_status_of_a_block_and_which_blocks_there_are() -> None:
    result = replace(IN_MEMORY, block_id=BlockId("taskresult_7"))
    master, _ = served_master(on_disk(), IN_MEMORY, result)
    table = master.table

    (disk,), (memory,) = table.holders_of(BLOCK), table.holders_of(OTHER)
    assert (disk.in_memory, disk.size_bytes, disk.level) == (False, 4, StorageLevel.DISK_ONLY)
    assert (memory.in_memory, memory.size_bytes, memory.location) == (True, 4, AWAY)
    assert table.holders_of(BlockId("rdd_9_9")) == ()
    assert list(table.blocks_of(RddId(1)).values()) == [BLOCK, OTHER]
    assert table.blocks_of(RddId(9)) == {}


class Cluster:
    """Executors that get the copies that they are told to get, at once."""

    def __init__(self, folder: Path, level: StorageLevel) -> None:
        self.folder = folder
        self.level = level
        self.master = BlockManagerMaster(VirtualWorld(), TaskScope("test"))
        self.managers: dict[str, RecordingRef] = {}

    def join(self, name: str) -> None:
        manager = self.managers[name] = RecordingRef("BlockManager")
        location = BlockManagerId(ExecutorId(name), f"host-{name}", 0, f"/{name}")
        self.master.receive(register(location, manager), RecordingContext())
        self.copy()

    def store(self, name: str) -> None:
        location = BlockManagerId(ExecutorId(name), f"host-{name}", 0, f"/{name}")
        update = UpdateBlockInfo(location, BLOCK, "f", 4, level=self.level, generation=1)
        self.master.receive(update, RecordingContext())
        self.copy()

    def lose(self, name: str) -> None:
        del self.managers[name]
        self.master.receive(RemoveExecutorBlocks(ExecutorId(name)), RecordingContext())
        self.copy()

    def copy(self) -> None:
        told = [name for name, manager in self.managers.items() if manager.take()]
        for name in told:
            self.store(name)

    def holders(self) -> set[str]:
        return {str(holder.location.executor_id) for holder in self.master.table.holders_of(BLOCK)}


@pytest.mark.scenario("HIS-005", "BlockManagerReplication")
@pytest.mark.parametrize("copies", [1, 2, 3, 5])
@pytest.mark.parametrize("base", [StorageLevel.MEMORY_ONLY, StorageLevel.DISK_ONLY, StorageLevel.MEMORY_AND_DISK_SER])
def test_there_are_as_many_copies_as_asked_for_whoever_comes_and_goes(
    tmp_path: Path, base: StorageLevel, copies: int
) -> None:
    cluster = Cluster(tmp_path, replace(base, replication=copies))
    for name in "123":
        cluster.join(name)
    cluster.store("1")
    assert len(cluster.holders()) == min(copies, 3)
    for name in "4567":
        cluster.join(name)
    assert len(cluster.holders()) == copies
    for lost in range(3 if copies > 1 else 0):
        cluster.lose(sorted(cluster.holders())[lost % 2])
        assert len(cluster.holders()) == min(copies, len(cluster.managers))
        assert cluster.holders() <= set(cluster.managers)
