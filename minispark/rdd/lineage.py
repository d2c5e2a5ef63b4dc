"""From nodes to what the scheduler sees: ids, dependency kinds, counts, call sites; no code, no data.

Called by the context when a job starts, in the caller's task: finding partitions and where they are is user code.
"""

from array import array
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from minispark.errors import ConfigurationError
from minispark.ids import BinaryId, ExecutorId, RddId
from minispark.messages.task import (
    Lineage,
    LineageNode,
    NarrowDependency,
    Preferences,
    ShuffleDependencyInfo,
    TaskLocation,
)
from minispark.rdd.dependency import Dependency, ShuffleDependency
from minispark.rdd.node import Node, parents_first

__all__ = ["Determinism", "describe", "forget_descriptions", "prepare"]

Determinism = Literal["determinate", "unordered", "indeterminate"]

EXECUTOR_PREFIX: Final = "executor_"
HDFS_CACHE_PREFIX: Final = "hdfs_cache_"

num_cuts = 0
"""How often a checkpoint has cut a lineage off: what was described before may tell of parents that are gone."""


async def prepare(node: Node[Any]) -> None:
    """Run the jobs that must come before any job that computes a node (sampling for a sort), parents first.

    Whoever runs a job awaits this before `describe` and before pickling; it costs nothing if there is nothing to do.
    """
    if not node.needs_preparation:
        return
    for above in parents_first(node, lambda node: (d.node for d in node.dependencies if d.node.needs_preparation)):
        if above.preparation is not None:
            await above.preparation.run()
        above.needs_preparation = False


def forget_descriptions() -> None:
    """Have all nodes described anew: one has become a source, and who hangs on it is not known."""
    global num_cuts
    num_cuts += 1


def describe(node: Node[Any], binary_id_of: Callable[[ShuffleDependency[Any, Any, Any]], BinaryId]) -> Lineage:
    """Return the lineage of a node, parents first.

    Args:
        node: the RDD that a job runs on.
        binary_id_of: gives each shuffle the id of its pickled map side (`tasks.ShuffleMapTask`); asked once per
            shuffle and call.
    """
    node.partitions()  # finds those of all parents too, without recursion
    described: dict[RddId, LineageNode] = {}
    for above in parents_first(node):
        description = above.description
        if description is None or above.described_after != num_cuts:
            dependencies = tuple(
                [
                    describe_dependency(above, place, dependency, binary_id_of)
                    for place, dependency in enumerate(above.dependencies)
                ]
            )
            description = LineageNode(
                above.rdd_id,
                above.name,
                len(above.partitions()),
                dependencies,
                above.call_site,
                above.is_barrier,
                determinism(above, described),
                preferences(above, described),
                above.is_cached,
            )
            # Iterative programs describe a growing lineage again and again. Only a shuffle's binary may change.
            if not any(isinstance(dependency, ShuffleDependency) for dependency in above.dependencies):
                above.description = description
                above.described_after = num_cuts
        described[above.rdd_id] = description
    return Lineage(tuple(described.values()))


def describe_dependency(
    node: Node[Any],
    place: int,
    dependency: Dependency,
    binary_id_of: Callable[[ShuffleDependency[Any, Any, Any]], BinaryId],
) -> NarrowDependency | ShuffleDependencyInfo:
    """Return what the scheduler sees of a node's dependency."""
    if not isinstance(dependency, ShuffleDependency):
        return node.narrow_dependency(place)
    return ShuffleDependencyInfo(
        dependency.node.rdd_id,
        dependency.shuffle_id,
        dependency.partitioner.num_partitions,
        binary_id_of(dependency),
    )


def preferences(node: Node[Any], described: Mapping[RddId, LineageNode]) -> Preferences:
    """Return where a node itself would like its partitions computed. Most kinds of nodes do not care.

    Raises:
        ConfigurationError: what the node says is no location.
    """
    if type(node).preferred_locations is Node.preferred_locations:
        return Preferences()
    if node.prefers_as_parents and not any(prefers(described, dependency) for dependency in node.dependencies):
        return Preferences()
    known: dict[str, int] = {}
    starts, places = array("i", [0]), array("i")
    for partition in node.partitions():
        for location in node.preferred_locations(partition):
            places.append(known.setdefault(location, len(known)))
        starts.append(len(places))
    if not places:
        return Preferences()
    return Preferences(tuple([parse_location(text, node) for text in known]), starts.tobytes(), places.tobytes())


def prefers(described: Mapping[RddId, LineageNode], dependency: Dependency) -> bool:
    """Tell whether a parent of the same stage, or one above it there, prefers any place."""
    pending = [] if isinstance(dependency, ShuffleDependency) else [dependency.node.rdd_id]
    seen = set(pending)
    while pending:
        parent = described[pending.pop()]
        if parent.preferences.locations:
            return True
        for above in parent.dependencies:
            if isinstance(above, NarrowDependency) and above.rdd_id not in seen:
                seen.add(above.rdd_id)
                pending.append(above.rdd_id)
    return False


def parse_location(text: object, node: Node[Any]) -> TaskLocation:
    """Return the location that a text names: `HOST`, `executor_HOST_ID`, or `hdfs_cache_HOST`, which is that host.

    Source: Spark's TaskLocation.
    """
    if not isinstance(text, str) or not text:
        raise ConfigurationError(f"{node!r} prefers {text!r}, which is no location: a host, or executor_HOST_ID")
    if not text.startswith(EXECUTOR_PREFIX):
        if text == HDFS_CACHE_PREFIX:
            raise ConfigurationError(f"{node!r} prefers {text!r}, which is no location: hdfs_cache_HOST needs a host")
        return TaskLocation(text.removeprefix(HDFS_CACHE_PREFIX))
    host, _, executor_id = text.removeprefix(EXECUTOR_PREFIX).partition("_")
    if not host or not executor_id:
        raise ConfigurationError(f"{node!r} prefers {text!r}, which is no location: executor_HOST_ID needs both")
    return TaskLocation(host, ExecutorId(executor_id))


def determinism(node: Node[Any], described: Mapping[RddId, LineageNode]) -> Determinism:
    """Return how far a second computation of a node may differ. Source: Spark's RDD.

    A shuffle gives its pairs in the order of arrival; what depends on that order may give other records.
    """
    levels: set[Determinism] = {described[dependency.node.rdd_id].determinism for dependency in node.dependencies}
    if node.is_indeterminate or "indeterminate" in levels:
        return "indeterminate"
    if node.is_unordered:
        return "unordered"
    if "unordered" in levels or any(isinstance(dependency, ShuffleDependency) for dependency in node.dependencies):
        return "indeterminate" if node.is_order_sensitive else "unordered"
    return "determinate"
