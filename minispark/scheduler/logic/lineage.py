"""Cut a job's lineage at its shuffles."""

from minispark.ids import RddId, ShuffleId
from minispark.messages.task import Lineage, LineageNode, NarrowDependency, ShuffleDependencyInfo

__all__ = ["CutLineage"]


class CutLineage:
    """A lineage with, for each RDD, the shuffles directly above it (over narrow dependencies only).

    Attributes:
        nodes: RDD id → node.
        last: the RDD that the job runs on.
        shuffles: all shuffle dependencies, those of parents before those of children.
        parents_of: RDD id → the direct shuffle parents of a stage that ends there, in order.
        has_cached: whether executors may keep one of the RDDs.
        may_prefer: the RDDs whose partitions may prefer places, by themselves or through one above in the same stage.
        barrier_rdds: the RDDs that are barriers or lie below one in the same stage.
    """

    def __init__(self, lineage: Lineage) -> None:
        self.nodes: dict[RddId, LineageNode] = {}
        self.shuffles: dict[ShuffleId, ShuffleDependencyInfo] = {}
        self.parents_of: dict[RddId, tuple[ShuffleId, ...]] = {}
        self.has_cached = False
        self.may_prefer: set[RddId] = set()
        self.barrier_rdds: set[RddId] = set()
        for node in lineage.nodes:
            self.add(node)
        self.last = lineage.nodes[-1]

    def add(self, node: LineageNode) -> None:
        """Take the next node; its parents were taken before it, so nothing here recurses."""
        self.nodes[node.rdd_id] = node
        self.has_cached |= node.is_cached
        if node.is_cached or node.preferences.locations:
            self.may_prefer.add(node.rdd_id)
        match node.dependencies:
            case (NarrowDependency(rdd_id=parent),):  # most nodes of most lineages, which may be long
                self.follow(node.rdd_id, parent)
                self.parents_of[node.rdd_id] = self.parents_of[parent]
            case dependencies:
                self.parents_of[node.rdd_id] = self.join(node.rdd_id, dependencies)
        if node.is_barrier:
            self.barrier_rdds.add(node.rdd_id)

    def join(
        self, rdd_id: RddId, dependencies: tuple[NarrowDependency | ShuffleDependencyInfo, ...]
    ) -> tuple[ShuffleId, ...]:
        """Return the shuffles directly above a node with these dependencies, which are noted."""
        above: dict[ShuffleId, None] = {}
        for dependency in dependencies:
            match dependency:
                case NarrowDependency(rdd_id=parent):
                    above.update(dict.fromkeys(self.parents_of[parent]))
                    self.follow(rdd_id, parent)
                case ShuffleDependencyInfo(shuffle_id=shuffle_id):
                    self.shuffles.setdefault(shuffle_id, dependency)
                    above[shuffle_id] = None
                    if len(dependencies) == 1:
                        self.may_prefer.add(rdd_id)
        return tuple(above)

    def follow(self, rdd_id: RddId, parent: RddId) -> None:
        """Note what a node has of a parent in the same stage."""
        if parent in self.may_prefer:
            self.may_prefer.add(rdd_id)
        if parent in self.barrier_rdds:
            self.barrier_rdds.add(rdd_id)
