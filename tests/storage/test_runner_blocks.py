import errno
from collections.abc import Callable, Iterator
from functools import partial
from io import FileIO
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minispark import conf
from minispark.errors import PicklingError, RecordsChanged
from minispark.ids import RddId, TaskId, rdd_block_id
from minispark.messages.runner_blocks import BlockPlan, WriteBlock
from minispark.messages.storage_level import StorageLevel
from minispark.storage import block_files
from minispark.storage.broadcast_file import write_file
from minispark.storage.logic.block_effects import Answer, Asker, DropLive, Paths, RemoveFile
from minispark.storage.logic.node_blocks import NodeBlocks
from minispark.storage.runner_blocks import RunnerBlocks

LEVELS = [
    StorageLevel.MEMORY_ONLY,
    StorageLevel.MEMORY_ONLY_SER,
    StorageLevel.MEMORY_AND_DISK,
    StorageLevel.MEMORY_AND_DISK_SER,
    StorageLevel.DISK_ONLY,
]
TASK = TaskId(7)


class PersistedRdd:
    def __init__(self, level: StorageLevel, rdd_id: int = 1, generation: int = 1) -> None:
        self.rdd_id = RddId(rdd_id)
        self.storage_level = level
        self.storage_generation = generation

    def __repr__(self) -> str:
        return f"numbers [{self.rdd_id}]"


class Attempt:
    def __init__(self) -> None:
        self.listeners: list[Callable[[Any], object]] = []

    def add_task_completion_listener(self, listener: Callable[[Any], object]) -> None:
        self.listeners.append(listener)

    def end(self) -> None:
        for listener in self.listeners:
            listener(None)


class Host:
    """An executor's blocks, and runners that ask them without delay."""

    def __init__(self, folder: Path, max_bytes: int = 1 << 30, **options: Any) -> None:
        numbers = count()
        for name in ("shm", "disk"):
            (folder / name).mkdir(exist_ok=True)
        self.folder = folder
        self.blocks = NodeBlocks(
            max_bytes,
            Paths(
                lambda block, size: str(folder / "shm" / f"{block}.{next(numbers)}"),
                lambda block: str(folder / "disk" / f"{block}.{next(numbers)}"),
            ),
        )
        self.runners = [RunnerBlocks(partial(self.ask, slot), **options) for slot in (0, 1)]
        self.computed = 0

    def ask(self, slot: int, request: Any) -> BlockPlan:
        self.blocks.asked(Asker(slot, TASK, 0), request)
        plans = []
        for effect in self.blocks.take_effects():
            match effect:
                case Answer(_, plan):
                    plans.append(plan)
                case RemoveFile(path):
                    block_files.remove(path)
                case DropLive(where, block_ids):
                    self.runners[where].drop(block_ids)
        self.blocks.check()
        (answer,) = plans
        return answer

    def read(
        self, rdd: PersistedRdd, records: list[Any], slot: int = 0, partition: int = 0, attempt: Attempt | None = None
    ) -> Iterator[Any]:
        def compute() -> Iterator[Any]:
            self.computed += 1
            yield from records

        return self.runners[slot].get_or_compute(rdd, partition, compute, attempt or Attempt())

    def end_task(self) -> None:
        self.blocks.task_ended(TASK, True)
        for effect in self.blocks.take_effects():
            if isinstance(effect, RemoveFile):
                block_files.remove(effect.path)

    def files(self) -> list[str]:
        return sorted(path.parent.name for path in self.folder.rglob("rdd_*"))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_a_partition_is_computed_once_and_read_by_all_runners(tmp_path: Path, level: StorageLevel) -> None:
    host, rdd = Host(tmp_path), PersistedRdd(level)
    records = [*range(5000), "x", None, ("a", 1.5)]

    assert [list(host.read(rdd, records, slot)) for slot in (0, 0, 1, 1)] == [records] * 4
    assert host.computed == 1


def test_a_loop_over_objects_is_a_loop_over_a_list(tmp_path: Path) -> None:
    host, rdd = Host(tmp_path), PersistedRdd(StorageLevel.MEMORY_ONLY)
    list(host.read(rdd, [1, 2, 3]))

    assert type(host.read(rdd, [])) is type(iter([]))


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_arrays_are_mapped_and_cannot_be_written(tmp_path: Path, level: StorageLevel) -> None:
    host, rdd = Host(tmp_path), PersistedRdd(level)
    array = np.arange(10_000.0)

    seen = [next(host.read(rdd, [array], slot)) for slot in (0, 0, 1)]

    assert all((each == array).all() for each in seen)
    assert not seen[1].flags.writeable
    assert not seen[1].flags.owndata
    assert host.blocks.memory.used_bytes < array.nbytes + 10_000


def test_dropped_objects_are_made_again_of_the_file(tmp_path: Path) -> None:
    host, rdd = Host(tmp_path), PersistedRdd(StorageLevel.MEMORY_ONLY)
    list(host.read(rdd, [1, 2, 3]))

    host.runners[0].drop([rdd_block_id(RddId(1), 0)])

    assert list(host.read(rdd, [])) == [1, 2, 3]
    assert host.computed == 1


@pytest.mark.scenario("BLK-007", "missing disk file on read removes block (15736)")
def test_a_partition_whose_file_is_gone_is_computed_again(tmp_path: Path) -> None:
    host, rdd = Host(tmp_path), PersistedRdd(StorageLevel.DISK_ONLY)
    list(host.read(rdd, [1, 2]))
    host.end_task()
    for path in (tmp_path / "disk").iterdir():
        path.unlink()

    assert list(host.read(rdd, [1, 2])) == [1, 2]
    assert host.computed == 2


@pytest.mark.scenario("HIS-005", "DiskStore")
def test_a_file_that_was_cut_off_is_not_read(tmp_path: Path) -> None:
    host, rdd = Host(tmp_path), PersistedRdd(StorageLevel.DISK_ONLY)
    list(host.read(rdd, list(range(100))))
    (path,) = (tmp_path / "disk").iterdir()
    path.write_bytes(path.read_bytes()[:-64])

    assert list(host.read(rdd, list(range(100)))) == list(range(100))


@pytest.mark.scenario("BLK-007", "put failure")
@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_a_record_that_cannot_be_stored_fails_its_task_and_leaves_nothing_behind(
    tmp_path: Path, level: StorageLevel
) -> None:
    host, rdd = Host(tmp_path), PersistedRdd(level)

    with pytest.raises(PicklingError, match="a record cannot be pickled"):
        list(host.read(rdd, [1, lambda: 2]))
    host.end_task()

    assert host.files() == []
    assert host.blocks.blocks == {}
    assert host.blocks.memory.used_bytes == 0
    assert list(host.read(rdd, [1, 2])) == [1, 2]


@pytest.mark.scenario("BLK-007", "compression flags")
def test_what_is_mapped_is_not_compressed(tmp_path: Path) -> None:
    value = b"x" * 100_000
    host = Host(tmp_path)
    list(host.read(PersistedRdd(StorageLevel.DISK_ONLY), [value]))
    write_file(str(tmp_path / "broadcast"), b"", [value])

    for path in [*tmp_path.glob("disk/*"), tmp_path / "broadcast"]:
        assert path.stat().st_size >= len(value)
    flags = {key for key in conf.settings() if key.endswith(".compress")}
    assert {f"minispark.{what}.compress" for what in ("shuffle", "shuffle.spill", "checkpoint")} <= flags
    assert not flags & {"minispark.rdd.compress", "minispark.broadcast.compress"}


@pytest.mark.scenario("BLK-005", "17484 status correct after failed put / invalid remote fetch")
def test_an_error_while_computing_leaves_nothing_behind(tmp_path: Path) -> None:
    host, rdd = Host(tmp_path), PersistedRdd(StorageLevel.MEMORY_ONLY)

    def fail() -> Iterator[int]:
        yield from range(100_000)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        host.runners[0].get_or_compute(rdd, 0, fail, Attempt())

    assert host.files() == []
    assert host.blocks.blocks == {}
    assert host.blocks.memory.used_bytes == 0
    assert list(host.read(rdd, [1])) == [1]


def test_a_kill_that_comes_when_the_block_is_stored_leaves_its_file(tmp_path: Path) -> None:
    host, rdd = Host(tmp_path), PersistedRdd(StorageLevel.DISK_ONLY)

    def ask_and_be_killed(request: Any) -> BlockPlan:
        plan = host.ask(0, request)
        if isinstance(request, WriteBlock) and request.complete:
            raise KeyboardInterrupt
        return plan

    host.runners[0].ask = ask_and_be_killed
    with pytest.raises(KeyboardInterrupt):
        host.read(rdd, [1, 2, 3])

    assert list(host.read(rdd, [1, 2, 3], slot=1)) == [1, 2, 3]
    assert host.computed == 1


def test_a_kill_that_comes_before_the_block_is_stored_leaves_no_file(tmp_path: Path) -> None:
    host, rdd = Host(tmp_path), PersistedRdd(StorageLevel.DISK_ONLY)

    def be_killed(request: Any) -> BlockPlan:
        if isinstance(request, WriteBlock) and request.complete:
            raise KeyboardInterrupt
        return host.ask(0, request)

    host.runners[0].ask = be_killed
    with pytest.raises(KeyboardInterrupt):
        host.read(rdd, [1, 2, 3])

    assert (host.files(), host.blocks.blocks) == ([], {})


def test_a_full_tmpfs_has_the_block_written_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Small(FileIO):
        def write(self, data: Any) -> int:
            if "shm" in str(self.name) and self.tell() + len(data) > 100_000:
                raise OSError(errno.ENOSPC, "no room")
            return super().write(data)

    monkeypatch.setattr(block_files, "FileIO", Small)
    host, rdd = Host(tmp_path), PersistedRdd(StorageLevel.MEMORY_ONLY_SER)
    records = [f"record {number}" for number in range(100_000)]

    assert list(host.read(rdd, records)) == records
    assert list(host.read(rdd, records, 1)) == records
    assert (host.computed, host.files()) == (1, ["disk"])


def test_on_a_full_host_the_records_are_used_and_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(FileIO):
        def write(self, data: Any) -> int:
            if self.tell() + len(data) > 300_000:
                raise OSError(errno.ENOSPC, "no room")
            return super().write(data)

    monkeypatch.setattr(block_files, "FileIO", Full)
    host, rdd = Host(tmp_path), PersistedRdd(StorageLevel.MEMORY_AND_DISK_SER)
    records = [f"record {number}" for number in range(100_000)]

    assert list(host.read(rdd, records)) == records
    assert host.files() == []
    assert host.blocks.blocks == {}


def test_who_changes_records_is_told_of_which_rdd(tmp_path: Path) -> None:
    host, rdd = Host(tmp_path, checks_records=True), PersistedRdd(StorageLevel.MEMORY_ONLY)
    list(host.read(rdd, [[1], [2]]))
    attempt = Attempt()
    next(host.read(rdd, [], attempt=attempt)).append(3)

    with pytest.raises(RecordsChanged, match=r"numbers \[1\]"):
        attempt.end()

    assert list(host.read(rdd, [])) == [[1], [2]]


def test_records_of_an_earlier_time_are_not_used(tmp_path: Path) -> None:
    host = Host(tmp_path)
    list(host.read(PersistedRdd(StorageLevel.MEMORY_ONLY), [1]))
    host.blocks.remove_rdd(RddId(1), 1)
    host.blocks.take_effects()

    assert list(host.read(PersistedRdd(StorageLevel.MEMORY_ONLY, generation=2), [2])) == [2]


PARTITIONS = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 2), st.integers(0, 1), st.booleans()), min_size=1, max_size=15
)
RECORDS = {
    partition: [f"{partition} {number}" * 8 for number in range(400 << 2 * partition)] for partition in range(3)
}


@pytest.mark.scenario("HIS-005", "MemoryStore")
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PARTITIONS, st.sampled_from(LEVELS), st.sampled_from([0, 200_000, 1_000_000, 1 << 30]))
def test_under_any_bound_the_records_are_those_that_computing_gives(
    tmp_path: Path, reads: list[tuple[int, int, int, bool]], level: StorageLevel, max_bytes: int
) -> None:
    host = Host(tmp_path, max_bytes)
    for rdd_id, partition, slot, ends in reads:
        records = RECORDS[partition]
        assert list(host.read(PersistedRdd(level, rdd_id), records, slot, partition)) == records
        if ends:
            host.end_task()
        assert host.blocks.memory.used_bytes <= max_bytes
    host.end_task()
    for rdd_id in range(1, 4):
        host.blocks.remove_rdd(RddId(rdd_id), 1)
    for effect in host.blocks.take_effects():
        if isinstance(effect, RemoveFile):
            block_files.remove(effect.path)
    assert host.files() == []
