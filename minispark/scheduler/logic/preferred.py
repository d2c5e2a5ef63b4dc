"""Where the tasks of a stage would like to run: at cached blocks, else where an RDD says, else where its parents do.

`submission` asks. An RDD that reads nothing but one shuffle prefers the hosts with at least a fifth of what each
partition reads. RDDs that cannot prefer anything are left out beforehand, so that most stages cost nothing and the
others a look into one or two tables per task. Source: getPreferredLocs of Spark's DAGScheduler.
"""

from array import array
from collections.abc import Sequence
from typing import Final, Protocol

from minispark.ids import ExecutorId, RddId, ShuffleId
from minispark.messages.scheduler import unpack_integers
from minispark.messages.task import LineageNode, NarrowDependency, Preferences, ShuffleDependencyInfo, TaskLocation
from minispark.scheduler.logic.cached import CachedRdds, Rows
from minispark.scheduler.logic.lineage import CutLineage

__all__ = ["LARGE_FRACTION", "OutputSizes", "PreferredLocations", "StagePreferences"]

LARGE_FRACTION: Final = 0.2
"""The part of a reducer's data that a host must have to be worth a preference."""

Numbers = Sequence[int]


class OutputSizes(Protocol):
    """The table of map outputs."""

    def locations_with_largest_outputs(self, shuffle_id: ShuffleId, reducer: int, fraction: float) -> Sequence[str]:
        """Return the hosts with at least this fraction of what a reducer reads; none for a very large shuffle."""


class PreferredLocations:
    """Finds them.

    Args:
        cached: the RDDs that executors keep.
        outputs: where map outputs are.
        reduce_locality: whether reducers prefer the hosts with most of their data.
    """

    def __init__(self, cached: CachedRdds, outputs: OutputSizes, reduce_locality: bool) -> None:
        self.cached = cached
        self.outputs = outputs
        self.reduce_locality = reduce_locality

    def of_stage(self, lineage: CutLineage, rdd_id: RddId) -> "StagePreferences | None":
        """Return what the tasks of a stage that ends at an RDD prefer; None if none of them can prefer anything."""
        if rdd_id not in lineage.may_prefer:
            return None
        known = Places()
        sources: dict[RddId, Source | None] = {}
        for node in stage_nodes(lineage, rdd_id):
            sources[node.rdd_id] = self.source(lineage, node, sources, known)
        source = sources[rdd_id]
        return None if source is None else StagePreferences(source, known)

    def source(
        self, lineage: CutLineage, node: LineageNode, sources: "dict[RddId, Source | None]", known: "Places"
    ) -> "Source | None":
        """Return what an RDD of a stage prefers; those above it are in `sources`."""
        source = Source(known)
        source.cached = self.cached.rows(lineage, node.rdd_id)
        source.take(node.preferences)
        if self.reduce_locality and (shuffle := only_shuffle(node)) is not None:
            source.outputs, source.shuffle_id = self.outputs, shuffle.shuffle_id
        for dependency in node.dependencies:
            if isinstance(dependency, NarrowDependency) and (parent := sources.get(dependency.rdd_id)) is not None:
                source.links.append(Link(parent, dependency, lineage.nodes[dependency.rdd_id].num_partitions))
        if source.has_own:
            return source
        if len(source.links) == 1 and source.links[0].is_all_of(node.num_partitions):
            return source.links[0].source  # a chain of one-to-one RDDs prefers what its source does
        return source if source.links else None


def stage_nodes(lineage: CutLineage, rdd_id: RddId) -> list[LineageNode]:
    """Return the RDDs of a stage that may prefer something, parents first."""
    seen, pending = {rdd_id}, [rdd_id]
    while pending:
        for dependency in lineage.nodes[pending.pop()].dependencies:
            above = dependency.rdd_id
            if isinstance(dependency, NarrowDependency) and above in lineage.may_prefer and above not in seen:
                seen.add(above)
                pending.append(above)
    # A child has a higher id than its parents.
    return [lineage.nodes[found] for found in sorted(seen)]


def only_shuffle(node: LineageNode) -> ShuffleDependencyInfo | None:
    """Return the shuffle of an RDD each partition of which is one reducer's data, and nothing else."""
    match node.dependencies:
        case (ShuffleDependencyInfo() as shuffle,) if shuffle.num_reducers == node.num_partitions:
            return shuffle
        case _:
            return None


class Places:
    """Numbers the locations of a stage."""

    def __init__(self) -> None:
        self.locations: list[TaskLocation] = []
        self.number_of: dict[tuple[str, ExecutorId], int] = {}

    def number(self, location: TaskLocation) -> int:
        """Return a location's number."""
        key = location.host, location.executor_id
        number = self.number_of.get(key)
        if number is None:
            number = self.number_of[key] = len(self.locations)
            self.locations.append(location)
        return number


class Source:
    """What one RDD prefers for its partitions.

    Attributes:
        cached: where executors keep it.
        starts: of each partition, where its places begin; None if the RDD says nothing itself.
        places: where they are in `numbers`, which holds the numbers of locations.
        links: the RDDs above in the same stage that prefer something.
    """

    __slots__ = ("cached", "known", "links", "numbers", "outputs", "places", "shuffle_id", "starts")

    def __init__(self, known: Places) -> None:
        self.known = known
        self.cached: Rows | None = None
        self.starts: array[int] | None = None
        self.places: array[int] = array("i")
        self.numbers: list[int] = []
        self.outputs: OutputSizes | None = None
        self.shuffle_id = ShuffleId(-1)
        self.links: list[Link] = []

    def take(self, preferences: Preferences) -> None:
        """Take what the RDD says itself."""
        if preferences.locations:
            self.numbers = [self.known.number(location) for location in preferences.locations]
            self.starts, self.places = unpack_integers(preferences.starts), unpack_integers(preferences.places)

    @property
    def has_own(self) -> bool:
        """Whether more is known than what is above."""
        return self.cached is not None or self.starts is not None or self.outputs is not None

    def at(self, partition: int) -> Numbers:
        """Return the places of one partition, without those from above."""
        if self.cached is not None and partition < len(self.cached) and self.cached[partition]:
            return [self.known.number(location) for location in self.cached[partition]]
        if self.starts is not None:
            places = self.places[self.starts[partition] : self.starts[partition + 1]]
            if places:
                return [self.numbers[place] for place in places]
        if self.outputs is not None:
            hosts = self.outputs.locations_with_largest_outputs(self.shuffle_id, partition, LARGE_FRACTION)
            return [self.known.number(TaskLocation(host)) for host in hosts]
        return ()


class Link:
    """Which partitions of an RDD above a partition is made of."""

    __slots__ = ("num_partitions", "parents", "shift", "source", "starts")

    def __init__(self, source: Source, dependency: NarrowDependency, num_partitions: int) -> None:
        self.source = source
        self.num_partitions = num_partitions
        self.shift = dependency.shift
        self.starts = unpack_integers(dependency.starts)
        self.parents = unpack_integers(dependency.parents)

    def is_all_of(self, num_partitions: int) -> bool:
        """Whether these partitions are those above, one to one; a union's are more than those of its first part."""
        return not self.starts and not self.shift and self.num_partitions == num_partitions

    def needed(self, partition: int) -> Numbers:
        """Return the partitions above."""
        if self.starts:
            return self.parents[self.starts[partition] : self.starts[partition + 1]]
        above = partition - self.shift
        return (above,) if 0 <= above < self.num_partitions else ()


class StagePreferences:
    """What the tasks of one stage prefer.

    Args:
        source: what its last RDD prefers.
        known: the locations.
    """

    def __init__(self, source: Source, known: Places) -> None:
        self.source = source
        self.known = known

    def of(self, partitions: Sequence[int]) -> Preferences:
        """Return the preferences of some tasks, a row each."""
        numbers: dict[int, int] = {}
        starts, places = array("i", [0]), array("i")
        for partition in partitions:
            found = self.source.at(partition)
            for place in found or (self.above(partition) if self.source.links else ()):
                places.append(numbers.setdefault(place, len(numbers)))
            starts.append(len(places))
        if not places:
            return Preferences()
        locations = tuple([self.known.locations[number] for number in numbers])
        return Preferences(locations, starts.tobytes(), places.tobytes())

    def above(self, partition: int) -> Numbers:
        """Return the first places that an RDD above has, depth first; each partition of each is looked at once."""
        seen = {(id(self.source), partition)}
        pending = [
            (link, above) for link in reversed(self.source.links) for above in reversed(link.needed(partition))
        ]
        while pending:
            link, partition = pending.pop()
            source = link.source
            if (id(source), partition) in seen:
                continue
            seen.add((id(source), partition))
            places = source.at(partition)
            if places:
                return places
            pending += [
                (link, above) for link in reversed(source.links) for above in reversed(link.needed(partition))
            ]
        return ()
