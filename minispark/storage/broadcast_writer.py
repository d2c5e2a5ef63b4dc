"""BroadcastWriter: writes the driver's broadcasts, large ones off the loop. Used by `distribution`.

What a value was when it was broadcast is what tasks get, so only bytes that nobody can change are written later;
others, such as an array that is not read-only, are written before `broadcast` returns, as small ones are. Whoever
asks for a broadcast that is being written waits for it (`when_written`).
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from minispark.errors import MiniSparkError
from minispark.ids import BroadcastId
from minispark.rpc.failures import in_words
from minispark.rpc.message import Attachment
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World
from minispark.storage.broadcast_file import PIECE_BYTES, check_room, file_size, write_file
from minispark.storage.broadcast_store import BroadcastStore

__all__ = ["LATER_BYTES", "BroadcastWriter"]

LATER_BYTES: Final = 256 << 10  # less is written in less time than it takes to have another thread do it

Then = Callable[[], object]


class Write:
    """A file that is being written: who waits for it, and whether it is still wanted."""

    __slots__ = ("is_wanted", "waiting")

    def __init__(self) -> None:
        self.is_wanted = True
        self.waiting: list[Then] = []


class BroadcastWriter:
    """Writes files into a store.

    Args:
        store: the driver's.
        world: writes off the loop.
        failed: told of a broadcast that could not be written after all, and why.
        at_once: whether nothing is written off the loop, for runners on the loop itself, which cannot wait.
    """

    def __init__(
        self,
        store: BroadcastStore,
        world: World,
        failed: Callable[[BroadcastId, str], object],
        *,
        at_once: bool = False,
    ) -> None:
        self.store = store
        self.world = world
        self.failed = failed
        self.at_once = at_once
        self.scope = TaskScope("broadcasts")
        self.writes: dict[BroadcastId, Write] = {}

    def write(self, broadcast_id: BroadcastId, pickled: Attachment, buffers: Sequence[Attachment] = ()) -> None:
        """Write a broadcast, or begin to.

        Raises:
            MiniSparkError: there is no room for it, as far as the file system tells, or it cannot be written.
        """
        path = self.store.path_of(broadcast_id)
        size_bytes = file_size(pickled, buffers)
        if self.at_once or size_bytes < LATER_BYTES or not all(map(is_fixed, buffers)):
            write_file(path, pickled, buffers)
            self.store.add(broadcast_id, size_bytes, PIECE_BYTES)
            return
        check_room(path, size_bytes)
        write = self.writes[broadcast_id] = Write()
        work = partial(write_file, path, pickled, buffers, lambda: write.is_wanted)
        self.scope.spawn(self.write_later(broadcast_id, size_bytes, work), name=f"write broadcast {broadcast_id}")

    async def write_later(self, broadcast_id: BroadcastId, size_bytes: int, work: Callable[[], object]) -> None:
        """Write off the loop, then tell those who wait."""
        problem = ""
        try:
            await self.world.run_blocking(work)
        except MiniSparkError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 — whatever is wrong, those who wait must hear of it
            problem = f"broadcast {broadcast_id} was not written: {in_words(error)}"
        write = self.writes.pop(broadcast_id)
        if problem and write.is_wanted:
            self.failed(broadcast_id, problem)
        elif not problem:
            self.store.add(broadcast_id, size_bytes, PIECE_BYTES)
            if not write.is_wanted:
                self.store.remove(broadcast_id)
        for then in write.waiting:
            then()

    def when_written(self, broadcast_id: BroadcastId, then: Then) -> None:
        """Call when a broadcast is not being written any more; at once if it is not."""
        write = self.writes.get(broadcast_id)
        if write is None:
            then()
        else:
            write.waiting.append(then)

    def give_up(self, broadcast_id: BroadcastId) -> bool:
        """Want a broadcast no more that is being written; tells whether it is."""
        write = self.writes.get(broadcast_id)
        if write is not None:
            write.is_wanted = False
        return write is not None

    async def close(self) -> None:
        """Wait until nothing is being written: what is, is given up, at the next of its parts."""
        for broadcast_id in self.writes:
            self.give_up(broadcast_id)
        if self.scope.children:
            await asyncio.wait(list(self.scope.children))
        await self.scope.close()


def is_fixed(part: Attachment) -> bool:
    """Tell whether nobody can change some bytes: neither they, nor what they are a view of, can be written to."""
    owner: object = part
    while owner is not None:
        try:
            view = memoryview(owner)  # type: ignore[arg-type]  # who is no buffer says so
        except TypeError:
            return False
        if not view.readonly:
            return False
        owner = view.obj if type(owner) is memoryview else getattr(owner, "base", None)
    return True
