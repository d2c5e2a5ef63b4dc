import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

import numpy as np
import pytest

from minispark.errors import MiniSparkError
from minispark.ids import BroadcastId
from minispark.storage.broadcast_file import places_in
from minispark.storage.broadcast_store import BroadcastStore
from minispark.storage.broadcast_writer import LATER_BYTES, BroadcastWriter
from minispark.testing.virtual_loop import VirtualWorld, run_virtual, settle

ID = BroadcastId(3)
LARGE = b"x" * LATER_BYTES

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class SlowDisk(VirtualWorld):
    """A world whose threads do nothing before `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def run_blocking(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        await self.go.wait()
        return function(*args)


class FullOfThreads(SlowDisk):
    """A world that can start no thread."""

    async def run_blocking(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        await self.go.wait()
        raise RuntimeError("can't start new thread")


def read_only_view_of(array: Any) -> Any:
    """Return an array that cannot be changed itself, but whose memory can."""
    view = array[:]
    view.flags.writeable = False
    return view


class House:
    """A writer, its store, and what it told."""

    def __init__(self, folder: Path, *, at_once: bool = False) -> None:
        (folder / "blocks").mkdir()
        self.world = SlowDisk()
        self.folder = folder / "blocks"
        self.store = BroadcastStore(str(folder), self.world)
        self.failed: list[tuple[BroadcastId, str]] = []
        self.told: list[str | None] = []
        self.writer = BroadcastWriter(
            self.store, self.world, lambda broadcast_id, why: self.failed.append((broadcast_id, why)), at_once=at_once
        )

    def ask(self) -> None:
        self.writer.when_written(ID, lambda: self.told.append(self.store.complete(ID)))


def test_a_large_value_is_written_off_the_loop_and_who_asks_waits_for_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        house = House(tmp_path)
        house.writer.write(ID, b"", [LARGE])
        house.ask()
        await asyncio.sleep(60.0)  # the loop goes on, however long the disk takes
        assert house.told == []
        assert list(house.folder.iterdir()) == []

        house.world.go.set()
        await settle()
        house.ask()
        assert house.told == [house.store.path_of(ID)] * 2
        content = Path(house.store.path_of(ID)).read_bytes()
        assert content[places_in(content)[1]] == LARGE

    run_virtual(scenario())


@pytest.mark.parametrize(
    "buffers",
    [
        [b"small"],
        [bytearray(LARGE)],
        [LARGE, memoryview(bytearray(8))],
        [memoryview(bytearray(LARGE)).toreadonly()],
        [memoryview(read_only_view_of(np.zeros(LATER_BYTES)))],
    ],
)
def test_what_is_small_or_could_be_changed_is_written_before_the_call_returns(
    tmp_path: Path, buffers: list[bytes]
) -> None:
    async def scenario() -> None:
        house = House(tmp_path)
        house.writer.write(ID, b"pickle", buffers)
        house.ask()
        assert house.told == [house.store.path_of(ID)]

    run_virtual(scenario())


def test_runners_on_the_loop_itself_never_have_to_wait(tmp_path: Path) -> None:
    async def scenario() -> None:
        house = House(tmp_path, at_once=True)
        house.writer.write(ID, LARGE)
        assert house.store.complete(ID) is not None

    run_virtual(scenario())


def test_a_write_that_fails_is_told_with_its_reason(tmp_path: Path) -> None:
    async def scenario() -> None:
        house = House(tmp_path)
        house.writer.write(ID, LARGE)
        house.ask()
        house.folder.rmdir()
        house.world.go.set()
        await settle()
        assert house.told == [None]
        ((broadcast_id, why),) = house.failed
        assert broadcast_id == ID
        assert "cannot be written" in why

    run_virtual(scenario())


def test_who_waits_hears_of_whatever_keeps_a_broadcast_from_being_written(tmp_path: Path) -> None:
    async def scenario() -> None:
        house = House(tmp_path)
        house.writer.world = house.world = FullOfThreads()
        house.writer.write(ID, LARGE)
        house.ask()
        house.world.go.set()
        await settle()
        assert house.told == [None]
        assert house.failed == [(ID, "broadcast 3 was not written: RuntimeError: can't start new thread")]

    run_virtual(scenario())


def test_an_array_that_nobody_can_change_is_written_later(tmp_path: Path) -> None:
    async def scenario() -> None:
        house = House(tmp_path)
        array: Any = np.zeros(LATER_BYTES)
        array.flags.writeable = False
        house.writer.write(ID, b"pickle", [memoryview(array[1:])])
        house.ask()
        assert house.told == []
        house.world.go.set()
        await house.writer.close()

    run_virtual(scenario())


def test_a_file_system_that_has_no_room_is_found_out_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        house = House(tmp_path)
        facts = os.statvfs(tmp_path)
        monkeypatch.setattr(
            os, "statvfs", lambda path: os.statvfs_result((facts[0], facts[1], 9, 9, 0, 0, 0, 0, 0, 255))
        )
        with pytest.raises(MiniSparkError, match=r"No space left on device; set minispark\.local\.dir"):
            house.writer.write(ID, LARGE)

    run_virtual(scenario())


@pytest.mark.parametrize("closes", [True, False])
def test_a_value_that_is_destroyed_while_it_is_written_leaves_no_file(tmp_path: Path, closes: bool) -> None:
    async def scenario() -> None:
        house = House(tmp_path)
        house.writer.write(ID, LARGE)
        asyncio.get_running_loop().call_later(5.0, house.world.go.set)
        if closes:
            await house.writer.close()
        else:
            assert house.writer.give_up(ID)
            await asyncio.sleep(10.0)
        assert list(house.folder.iterdir()) == []
        assert house.failed == []
        assert not house.writer.give_up(ID)

    run_virtual(scenario())
