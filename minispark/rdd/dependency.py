"""How an RDD hangs on its parents. Source: Spark's Dependency classes."""

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from minispark.ids import ShuffleId
from minispark.rdd.aggregator import Aggregator
from minispark.rdd.partitioner import Partitioner

if TYPE_CHECKING:
    from minispark.rdd.node import Node

__all__ = ["Dependency", "Narrow", "ShuffleDependency"]

K = TypeVar("K")
V = TypeVar("V")
C = TypeVar("C")


class Dependency:
    """A link to a parent node."""

    node: "Node[Any]"


class Narrow(Dependency):
    """Each partition needs few partitions of the parent; which ones is the child's business (its Partition says)."""

    def __init__(self, node: "Node[Any]") -> None:
        self.node = node


class ShuffleDependency(Dependency, Generic[K, V, C]):
    """Every partition needs its slice of all map outputs of the parent: a stage boundary.

    A pickled dependency leaves the parent behind, so that a task carries its own stage only.

    Args:
        shuffle_id: the shuffle's number in the application.
        node: the parent, an RDD of pairs.
        partitioner: key → reducer.
        aggregator: combines the values of a key; None: pairs pass as they are.
        map_side_combine: whether to combine before writing; needs an aggregator.
    """

    def __init__(
        self,
        shuffle_id: ShuffleId,
        node: "Node[tuple[K, V]]",
        partitioner: Partitioner,
        aggregator: Aggregator[V, C] | None = None,
        map_side_combine: bool = False,
    ) -> None:
        self.shuffle_id = shuffle_id
        self.node = node
        self.partitioner = partitioner
        self.aggregator = aggregator
        self.map_side_combine = map_side_combine

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "node"}
