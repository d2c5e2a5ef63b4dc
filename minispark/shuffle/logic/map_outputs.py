"""Which map outputs exist and where: the driver's table, and the packed form that readers get.

Written by the DAGScheduler alone; `shuffle.tracker` serves it. The epoch counts losses: tasks carry the epoch of
their task set, and an executor that sees a higher one forgets what it knew. Source: Spark's MapOutputTrackerMaster.
"""

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import lz4.block
import msgpack

from minispark.errors import MapOutputMissing
from minispark.ids import ExecutorId, ShuffleId, TaskId
from minispark.messages.task import BlockManagerId, MapStatus
from minispark.record import Record, record
from minispark.shuffle.logic.sizes import decode_size, decode_sizes
from minispark.shuffle.logic.sums import SizeSums

__all__ = ["MapOutputLocation", "MapOutputs", "MapOutputsView", "unpack_map_outputs"]

MISSING: Final = -1

REDUCE_LOCALITY_LIMIT: Final = 1000
"""With that many maps or reducers no host holds much of what one reducer reads. Spark's bounds are the same."""


@record
class MapOutputLocation(Record):
    """One block that a reducer reads: the map output's place, and about how many bytes of it are the reducer's."""

    location: BlockManagerId
    map_id: TaskId
    map_index: int
    size_bytes: int


@dataclass(slots=True)
class Shuffle:
    """The outputs of one shuffle's map stage.

    `on_executor` holds the map indexes by where their output is; `moved` the ids of those that were handed over.
    """

    num_maps: int
    num_reducers: int
    statuses: list[MapStatus | None]
    sums: SizeSums
    available: int = 0
    on_executor: dict[ExecutorId, set[int]] = field(default_factory=dict)
    packed: bytes | None = None
    moved: dict[TaskId, None] = field(default_factory=dict)

    def put(self, status: MapStatus) -> None:
        """Take an output, instead of the one that was known."""
        self.drop(status.map_index)
        self.statuses[status.map_index] = status
        self.on_executor.setdefault(status.location.executor_id, set()).add(status.map_index)
        self.available += 1
        self.sums.add(status.location.host, status.sizes)

    def drop(self, map_index: int) -> None:
        """Forget an output, if there is one."""
        self.packed = None
        status = self.statuses[map_index]
        if status is not None:
            executor_id = status.location.executor_id
            self.statuses[map_index] = None
            self.available -= 1
            self.sums.subtract(status.location.host, status.sizes)
            self.on_executor[executor_id].discard(map_index)
            if not self.on_executor[executor_id]:
                del self.on_executor[executor_id]

    def host_of(self, executor_id: ExecutorId) -> str:
        """Return the host of an executor that holds outputs."""
        status = self.statuses[next(iter(self.on_executor[executor_id]))]
        assert status is not None
        return status.location.host

    def drop_all(self) -> None:
        """Forget all outputs."""
        self.packed = None
        self.statuses = [None] * self.num_maps
        self.available = 0
        self.on_executor.clear()
        self.sums.clear()


class MapOutputs:
    """The driver's table of map outputs, by shuffle.

    Attributes:
        epoch: how many times outputs were lost, or a map stage completed.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self.shuffles: dict[ShuffleId, Shuffle] = {}

    def register_shuffle(self, shuffle_id: ShuffleId, num_maps: int, num_reducers: int) -> None:
        """Make room for a shuffle.

        Raises:
            ValueError: the shuffle is known already.
        """
        if shuffle_id in self.shuffles:
            raise ValueError(f"shuffle {shuffle_id} is registered twice")
        is_small = max(num_maps, num_reducers) < REDUCE_LOCALITY_LIMIT
        sums = SizeSums(num_reducers, by_host=is_small)
        self.shuffles[shuffle_id] = Shuffle(num_maps, num_reducers, [None] * num_maps, sums)

    def __contains__(self, shuffle_id: object) -> bool:
        return shuffle_id in self.shuffles

    def register(self, shuffle_id: ShuffleId, status: MapStatus) -> None:
        """Take the output of a map task, instead of the one that was known; the epoch stays.

        Raises:
            ValueError: the shuffle is not known, or has no such map or not as many reducers.
        """
        shuffle = self.of(shuffle_id)
        if not 0 <= status.map_index < shuffle.num_maps or len(status.sizes) != shuffle.num_reducers:
            raise ValueError(
                f"map {status.map_index} with {len(status.sizes)} reducers does not fit shuffle {shuffle_id} "
                f"of {shuffle.num_maps} maps and {shuffle.num_reducers} reducers"
            )
        shuffle.put(status)

    def unregister(self, shuffle_id: ShuffleId, map_index: int, location: BlockManagerId) -> bool:
        """Forget one output if it is still at that location; a new epoch if so. Tell whether it was.

        Raises:
            ValueError: the shuffle is not known.
        """
        shuffle = self.of(shuffle_id)
        status = shuffle.statuses[map_index]
        if status is None or status.location != location:
            return False
        shuffle.drop(map_index)
        self.epoch += 1
        return True

    def move(self, shuffle_id: ShuffleId, map_id: TaskId, location: BlockManagerId) -> bool:
        """Take the new place of an output, a new epoch; nothing for one that is not known. Tell whether it was.

        Unlike in Spark a new epoch begins: an executor that knows the old place need not fail there first.
        """
        shuffle = self.shuffles.get(shuffle_id)
        statuses = [] if shuffle is None else shuffle.statuses
        status = next((status for status in statuses if status is not None and status.map_id == map_id), None)
        if shuffle is None or status is None:
            return False
        shuffle.put(replace(status, location=location))
        shuffle.moved[map_id] = None
        self.epoch += 1
        return True

    def has_moved(self, map_id: TaskId) -> bool:
        """Tell whether an output was handed over by the executor that wrote it."""
        return any(map_id in shuffle.moved for shuffle in self.shuffles.values())

    def unregister_all(self, shuffle_id: ShuffleId) -> None:
        """Forget all outputs of a shuffle, but not the shuffle; a new epoch.

        As Spark does before a stage that is rolled back runs anew in full (it is indeterminate, or a barrier stage,
        and some of it is lost), so that outputs of two attempts are not mixed.

        Raises:
            ValueError: the shuffle is not known.
        """
        self.of(shuffle_id).drop_all()
        self.epoch += 1

    def remove_on_executor(self, executor_id: ExecutorId) -> list[ShuffleId]:
        """Forget all outputs of an executor; always a new epoch. Return the shuffles that lost some."""
        return self.remove_on(lambda shuffle: (executor_id,) if executor_id in shuffle.on_executor else ())

    def remove_on_host(self, host: str) -> list[ShuffleId]:
        """Forget all outputs on a host; always a new epoch. Return the shuffles that lost some.

        As Spark does when a worker is lost for good, or when a fetch fails and the outputs are served per host: the
        files of its executors that are gone already are lost as well.
        """
        return self.remove_on(lambda shuffle: [e for e in shuffle.on_executor if shuffle.host_of(e) == host])

    def remove_on(self, lost: Callable[[Shuffle], Sequence[ExecutorId]]) -> list[ShuffleId]:
        """Forget what lost executors hold of each shuffle; always a new epoch. Return the shuffles that lost some."""
        self.epoch += 1
        losers = []
        for shuffle_id, shuffle in self.shuffles.items():
            executors = lost(shuffle)
            for executor_id in executors:
                for map_index in sorted(shuffle.on_executor[executor_id]):
                    shuffle.drop(map_index)
            if executors:
                losers.append(shuffle_id)
        return losers

    def remove_shuffle(self, shuffle_id: ShuffleId) -> list[MapStatus]:
        """Forget a shuffle and return the outputs it had, whose files can go; nothing for an unknown one."""
        shuffle = self.shuffles.pop(shuffle_id, None)
        return [] if shuffle is None else [status for status in shuffle.statuses if status is not None]

    def missing_partitions(self, shuffle_id: ShuffleId) -> list[int]:
        """Return the map indexes without an output, ascending.

        Raises:
            ValueError: the shuffle is not known.
        """
        shuffle = self.of(shuffle_id)
        if shuffle.available == shuffle.num_maps:
            return []
        return [map_index for map_index, status in enumerate(shuffle.statuses) if status is None]

    def available(self, shuffle_id: ShuffleId) -> int:
        """Return how many outputs a shuffle has; 0 for an unknown one."""
        shuffle = self.shuffles.get(shuffle_id)
        return 0 if shuffle is None else shuffle.available

    def is_complete(self, shuffle_id: ShuffleId) -> bool:
        """Tell whether all outputs of a shuffle are there; False for an unknown one."""
        shuffle = self.shuffles.get(shuffle_id)
        return shuffle is not None and shuffle.available == shuffle.num_maps

    def increment_epoch(self) -> None:
        """Make executors ask again: a map stage completed anew."""
        self.epoch += 1

    def packed(self, shuffle_id: ShuffleId) -> bytes:
        """Return what `unpack_map_outputs` reads; empty for an unknown shuffle. Kept until an output changes."""
        shuffle = self.shuffles.get(shuffle_id)
        if shuffle is None:
            return b""
        if shuffle.packed is None:
            shuffle.packed = pack(shuffle.statuses, shuffle.num_reducers)
        return shuffle.packed

    def statistics(self, shuffle_id: ShuffleId) -> list[int]:
        """Return about how many bytes each reducer finds in all map outputs; the sums are kept as outputs come.

        Raises:
            ValueError: the shuffle is not known.
        """
        return self.of(shuffle_id).sums.totals()

    def locations_with_largest_outputs(self, shuffle_id: ShuffleId, reducer: int, fraction: float) -> tuple[str, ...]:
        """Return the hosts that hold at least this fraction of what a reducer reads, each once.

        None for a shuffle that is not known or has 1,000 maps or reducers or more, and for a reducer without data.
        All outputs of a host are added up, where Spark adds up those of an executor: what counts is what need not
        come over the network.
        """
        shuffle = self.shuffles.get(shuffle_id)
        if shuffle is None or not shuffle.sums.by_host:
            return ()
        return shuffle.sums.largest_hosts(reducer, fraction)

    def of(self, shuffle_id: ShuffleId) -> Shuffle:
        """Return a shuffle.

        Raises:
            ValueError: it is not known.
        """
        shuffle = self.shuffles.get(shuffle_id)
        if shuffle is None:
            raise ValueError(f"shuffle {shuffle_id} is not registered")
        return shuffle

    def check(self) -> None:
        """Assert that counts and indexes agree with the statuses."""
        for shuffle_id, shuffle in self.shuffles.items():
            found: dict[ExecutorId, set[int]] = {}
            for map_index, status in enumerate(shuffle.statuses):
                if status is not None:
                    assert status.map_index == map_index, (shuffle_id, map_index, status)
                    found.setdefault(status.location.executor_id, set()).add(map_index)
            assert len(shuffle.statuses) == shuffle.num_maps, shuffle_id
            assert shuffle.on_executor == found, shuffle_id
            assert shuffle.available == sum(map(len, found.values())), shuffle_id
            sizes = [decode_sizes(status.sizes) for status in shuffle.statuses if status is not None]
            assert shuffle.sums.totals() == [sum(column) for column in zip(*sizes, strict=True)] or not sizes

    def assert_empty(self) -> None:
        """Assert that no shuffle is left."""
        assert not self.shuffles, f"shuffles left: {list(self.shuffles)}"


def pack(statuses: Iterable[MapStatus | None], num_reducers: int) -> bytes:
    """Pack statuses: each location once, map ids and sizes as plain arrays, so that a reader slices out its own.

    Compressed by lz4: of many small blocks most have one of a few sizes.
    """
    numbers: dict[tuple[Any, ...], int] = {}
    places, map_ids, sizes = array("i"), array("q"), bytearray()
    for status in statuses:
        if status is None:
            places.append(MISSING)
            map_ids.append(MISSING)
            sizes += bytes(num_reducers)
        else:
            location = status.location
            place = (location.executor_id, location.host, location.port, location.directory)
            places.append(numbers.setdefault(place, len(numbers)))
            map_ids.append(status.map_id)
            sizes += status.sizes
    columns: bytes = lz4.block.compress(b"".join((places.tobytes(), map_ids.tobytes(), sizes)))
    packed: bytes = msgpack.packb([list(numbers), num_reducers, len(places), columns])
    return packed


@dataclass(frozen=True, slots=True)
class MapOutputsView:
    """One shuffle's map outputs as a reader sees them; `places` and `map_ids` are by map index."""

    known: bool
    locations: tuple[BlockManagerId, ...] = ()
    num_reducers: int = 0
    places: "array[int]" = field(default_factory=lambda: array("i"))
    map_ids: "array[int]" = field(default_factory=lambda: array("q"))
    sizes: bytes = b""

    def blocks(self, reducer: int) -> list[MapOutputLocation]:
        """Return the blocks of one reducer, in the order of the maps; empty blocks are left out.

        Raises:
            MapOutputMissing: a map has no output, or the shuffle is not known.
        """
        if not self.known:
            raise MapOutputMissing("the shuffle is not known to the driver any more")
        if MISSING in self.places:
            raise MapOutputMissing(f"the output of map {self.places.index(MISSING)} is missing")
        return [
            MapOutputLocation(
                self.locations[self.places[map_index]], TaskId(self.map_ids[map_index]), map_index, decode_size(code)
            )
            for map_index, code in enumerate(self.sizes[reducer :: self.num_reducers])
            if code
        ]


def unpack_map_outputs(data: bytes | bytearray | memoryview) -> MapOutputsView:
    """Read what `MapOutputs.packed` made."""
    if not data:
        return MapOutputsView(known=False)
    locations, num_reducers, num_maps, packed = msgpack.unpackb(data)
    columns: bytes = lz4.block.decompress(packed)
    places, map_ids = array("i"), array("q")
    ids_at = num_maps * places.itemsize
    sizes_at = ids_at + num_maps * map_ids.itemsize
    places.frombytes(columns[:ids_at])
    map_ids.frombytes(columns[ids_at:sizes_at])
    view = tuple(BlockManagerId(*location) for location in locations)
    return MapOutputsView(True, view, num_reducers, places, map_ids, columns[sizes_at:])
