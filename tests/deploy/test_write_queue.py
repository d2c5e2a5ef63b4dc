"""WriteQueue: what depends on a record waits until it is on disk, in order."""

import asyncio
from collections.abc import Sequence

from minispark.deploy.logic.effects import Forget
from minispark.deploy.write_queue import Change, WriteQueue
from minispark.testing.virtual_loop import run_virtual, settle


class SlowDisk:
    """Writes one batch each time the test says so."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.open: list[asyncio.Future[None]] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.done: list[str] = []
        self.queue = WriteQueue(self.write, self.start)

    async def write(self, changes: Sequence[Change]) -> None:
        self.batches.append([change.key for change in changes if isinstance(change, Forget)])
        self.open.append(asyncio.get_running_loop().create_future())
        await self.open[-1]

    def start(self, queue: WriteQueue) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(queue.drain()))

    def add(self, *keys: str, then: str) -> None:
        self.queue.add([Forget(key) for key in keys], lambda: self.done.append(then))

    async def finish(self) -> None:
        self.open[-1].set_result(None)
        await settle()


def test_what_depends_on_nothing_is_done_at_once() -> None:
    async def main() -> SlowDisk:
        disk = SlowDisk()
        disk.add(then="a")
        return disk

    disk = run_virtual(main())

    assert (disk.done, disk.batches) == (["a"], [])


def test_what_comes_during_a_write_waits_and_goes_with_the_next() -> None:
    async def main() -> tuple[SlowDisk, list[list[str]]]:
        disk, seen = SlowDisk(), []
        disk.add("1", then="a")
        await settle()
        disk.add(then="b")  # writes nothing, but comes after something that is written
        disk.add("2", then="c")
        disk.add("3", "4", then="d")
        seen.append(list(disk.done))
        await disk.finish()
        seen.append(list(disk.done))
        await disk.finish()
        return disk, seen

    disk, seen = run_virtual(main())

    assert disk.batches == [["1"], ["2", "3", "4"]]
    assert seen == [[], ["a"]]
    assert disk.done == ["a", "b", "c", "d"]


def test_after_all_is_written_the_next_write_starts_again() -> None:
    async def main() -> SlowDisk:
        disk = SlowDisk()
        for key in ("1", "2"):
            disk.add(key, then=key)
            await settle()
            await disk.finish()
        return disk

    disk = run_virtual(main())

    assert (disk.batches, disk.done, len(disk.tasks)) == ([["1"], ["2"]], ["1", "2"], 2)
