"""Broadcast: a value of the driver that all tasks read, kept once on each host.

`sc.broadcast(value)` makes one. What travels with a closure is its id; a runner that reads the value asks its
executor for the file that holds it (`NeedBroadcast`), maps that and unpickles it once. Large buffers (numpy arrays,
bytes) stay in the mapping. Must not know how the file comes to the host: that is `storage.broadcast_fetcher`'s.

Source: Spark's Broadcast and TorrentBroadcast.
"""

import itertools
import threading
from collections.abc import Iterable
from typing import Any, Final, Generic, Protocol, TypeVar
from weakref import WeakValueDictionary, finalize

from minispark.errors import ContextError, PicklingError
from minispark.ids import BroadcastId
from minispark.messages.runner import BroadcastFile, NeedBroadcast
from minispark.rdd import closures
from minispark.rdd.call_site import call_site
from minispark.rdd.face import Face
from minispark.rdd.runner_side import ask_executor, forgetters
from minispark.storage.broadcast_file import map_file, places_in
from minispark.storage.mapped_bytes import bytes_in, release_unused

__all__ = ["Broadcast", "BroadcastHome", "dump_value", "make_broadcast", "new_id", "read_file"]

T = TypeVar("T")

ids = itertools.count()
"""One sequence per process: an id never means broadcasts of two contexts."""


class BroadcastHome(Protocol):
    """What a broadcast needs of the driver; fulfilled by `distribution.Distribution`.

    Attributes:
        closed: whether the context was stopped: no task can get a value any more.
    """

    closed: bool

    async def unpersist_broadcast(self, broadcast_id: BroadcastId) -> None:
        """Have the executors let a value go; they can get it again."""

    async def destroy_broadcast(self, broadcast_id: BroadcastId, destroyed: str) -> None:
        """Remove a value everywhere.

        Args:
            broadcast_id: which one.
            destroyed: what tasks are told that ask for it later.
        """

    def drop_broadcast(self, broadcast_id: BroadcastId) -> None:
        """Remove a value that nothing refers to any more; the garbage collector calls this, on any thread."""


class Broadcast(Generic[T]):
    """A value that all tasks can read; make it with `SparkContext.broadcast`.

    Tasks have what the value was when it was broadcast, and must not change it: arrays are read-only there. When
    nothing in the driver refers to it any more, it is removed from all executors.

    Attributes:
        broadcast_id: unique in the process.
        call_site: the line that made it.
    """

    def __init__(self, broadcast_id: BroadcastId, site: str) -> None:
        self.broadcast_id = broadcast_id
        self.call_site = site
        self.home: BroadcastHome | None = None
        self.kept: list[T] = []  # the driver's; tasks ask `values`
        self.destroyed_at = ""

    @property
    def value(self) -> T:
        """The value: in the driver the very object that was broadcast.

        Raises:
            ContextError: it was destroyed; the text names the line.
            MiniSparkError: this is a task, and the value cannot be had.
        """
        self.check_valid()
        if self.home is not None:
            return self.kept[0]
        found: T = values.get(self.broadcast_id)
        return found

    async def unpersist(self) -> None:
        """Have executors and their runners let the value go; a task that reads it later gets it again.

        Raises:
            ContextError: it was destroyed, or this is a task.
        """
        self.check_valid()
        await self.in_driver("unpersisted").unpersist_broadcast(self.broadcast_id)

    async def destroy(self) -> None:
        """Remove the value everywhere; whoever uses it from now on gets an error. Doing it again changes nothing.

        Raises:
            ContextError: this is a task.
        """
        home = self.in_driver("destroyed")
        if not self.destroyed_at:
            self.destroyed_at = call_site()
            self.kept.clear()
            await home.destroy_broadcast(self.broadcast_id, self.why_invalid())

    def in_driver(self, what: str) -> BroadcastHome:
        """Return the driver's side.

        Raises:
            ContextError: this is a task.
        """
        if self.home is None:
            raise ContextError(f"{self!r} cannot be {what} in a task: only the driver can do that")
        return self.home

    def check_valid(self) -> None:
        """Raise unless the value can be used.

        Raises:
            ContextError: it was destroyed.
        """
        if self.destroyed_at:
            raise ContextError(self.why_invalid())

    def why_invalid(self) -> str:
        """Say why the value cannot be used."""
        return f"{self!r} was destroyed at {self.destroyed_at} and cannot be used any more"

    def __reduce__(self) -> tuple[Any, ...]:
        if self.destroyed_at:
            raise PicklingError(self.why_invalid())
        if self.home is not None and self.home.closed:
            raise PicklingError(
                f"{self!r} belongs to a SparkContext that was stopped: broadcast the value again, with the context "
                "that runs the tasks"
            )
        return attached, (self.broadcast_id, self.call_site)

    def __repr__(self) -> str:
        return f"<Broadcast {self.broadcast_id} made at {self.call_site}>"


def attached(broadcast_id: BroadcastId, site: str) -> Broadcast[Any]:
    """Return what a pickled broadcast means here: the driver's own, or what tasks have."""
    return of_driver.get(broadcast_id) or Broadcast(broadcast_id, site)


def new_id() -> BroadcastId:
    """Return an id that no broadcast of this process has."""
    return BroadcastId(next(ids))


def make_broadcast(broadcast_id: BroadcastId, value: T, home: BroadcastHome) -> Broadcast[T]:
    """Return the driver's side of a broadcast that was written; it is dropped when nothing refers to it."""
    made: Broadcast[T] = Broadcast(broadcast_id, call_site())
    made.home = home
    made.kept.append(value)
    of_driver[broadcast_id] = made
    finalize(made, home.drop_broadcast, broadcast_id).atexit = False
    return made


def dump_value(value: object) -> tuple[bytes, list[memoryview]]:
    """Pickle a value for the file of a broadcast; return the pickle, and the buffers that were left out of it.

    Raises:
        ContextError: it is an RDD.
        PicklingError: it cannot be pickled; the text gives the path to what cannot.
    """
    if isinstance(value, Face):
        raise ContextError(f"{value!r} cannot be broadcast: collect it, and broadcast the records")
    if type(value) is bytes:
        return b"", [memoryview(value)]  # no pickle at all: see `read_file`
    pickled, buffers = closures.dumps_apart(value)
    return pickled, [buffer.raw() for buffer in buffers]


def read_file(path: str) -> Any:
    """Return the value in the file of a broadcast.

    Raises:
        OSError: the file is gone.
        MiniSparkError: it is not the file of a broadcast.
        Exception: whatever the user's classes raise when they are rebuilt.
    """
    content = memoryview(map_file(path))
    pickled, *buffers = places_in(content)
    if pickled.start == pickled.stop:
        return bytes_in(path, content, buffers[0])
    return closures.loads_apart(content[pickled], [content[place] for place in buffers])


class Values:
    """The values that this process, a runner, has unpickled: each once, whichever thread reads it."""

    def __init__(self) -> None:
        self.found: dict[BroadcastId, Any] = {}
        self.lock = threading.RLock()  # a value may hold another broadcast, and read it while it is rebuilt

    def get(self, broadcast_id: BroadcastId) -> Any:
        """Return a value.

        Raises:
            MiniSparkError: it cannot be had; the text says why.
        """
        with self.lock:
            if broadcast_id in self.found:
                return self.found[broadcast_id]
            try:
                value = self.fetch(broadcast_id)
            except FileNotFoundError:  # unpersisted between the answer and the look: it is brought again
                value = self.fetch(broadcast_id)
            self.found[broadcast_id] = value
            return value

    def fetch(self, broadcast_id: BroadcastId) -> Any:
        """Ask for the file of a broadcast and read it."""
        answer = ask_executor(NeedBroadcast(broadcast_id))
        assert isinstance(answer, BroadcastFile)
        return read_file(answer.path)

    def forget(self, broadcast_ids: Iterable[BroadcastId]) -> None:
        """Let values go."""
        for broadcast_id in broadcast_ids:
            self.found.pop(broadcast_id, None)
        release_unused()


values: Final = Values()
of_driver: Final[WeakValueDictionary[BroadcastId, Broadcast[Any]]] = WeakValueDictionary()
forgetters.append(values.forget)
