"""From nodes to what the scheduler sees: ids, dependency kinds, counts, call sites; no code, no data.

Called by the context when a job starts, in the caller's task: finding partitions is user code.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from minispark.ids import BinaryId, RddId
from minispark.messages.task import Lineage, LineageNode, NarrowDependency, ShuffleDependencyInfo
from minispark.rdd.dependency import Dependency, ShuffleDependency
from minispark.rdd.node import Node, parents_first

__all__ = ["describe", "prepare"]

Determinism = Literal["determinate", "unordered", "indeterminate"]


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
        if description is None:
            description = LineageNode(
                above.rdd_id,
                above.name,
                len(above.partitions()),
                tuple([describe_dependency(dependency, binary_id_of) for dependency in above.dependencies]),
                above.call_site,
                determinism=determinism(above, described),
            )
            # Iterative programs describe a growing lineage again and again. Only a shuffle's binary may change.
            if not any(isinstance(dependency, ShuffleDependency) for dependency in above.dependencies):
                above.description = description
        described[above.rdd_id] = description
    return Lineage(tuple(described.values()))


def describe_dependency(
    dependency: Dependency, binary_id_of: Callable[[ShuffleDependency[Any, Any, Any]], BinaryId]
) -> NarrowDependency | ShuffleDependencyInfo:
    """Return what the scheduler sees of a dependency."""
    if not isinstance(dependency, ShuffleDependency):
        return NarrowDependency(dependency.node.rdd_id)
    return ShuffleDependencyInfo(
        dependency.node.rdd_id,
        dependency.shuffle_id,
        dependency.partitioner.num_partitions,
        binary_id_of(dependency),
    )


def determinism(node: Node[Any], described: Mapping[RddId, LineageNode]) -> Determinism:
    """Return how far a second computation of a node may differ. Source: Spark's RDD.

    A shuffle gives its pairs in the order of arrival; what depends on that order may give other records.
    """
    levels: set[Determinism] = {described[dependency.node.rdd_id].determinism for dependency in node.dependencies}
    if "indeterminate" in levels:
        return "indeterminate"
    if "unordered" in levels or any(isinstance(dependency, ShuffleDependency) for dependency in node.dependencies):
        return "indeterminate" if node.is_order_sensitive else "unordered"
    return "determinate"
