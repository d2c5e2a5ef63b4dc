"""An RDD's inner half: id, dependencies, compute. Picklable, without a context; no scheduling.

The outer half is `rdd.rdd.RDD`, the fluent face that the user holds. Lineages grow long in iterative programs, so
what walks them never recurses: `parents_first` is the one walk, and a pickled node is a flat list of its stage.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from minispark.ids import RddId
from minispark.messages.storage_level import StorageLevel
from minispark.messages.task import LineageNode, NarrowDependency
from minispark.rdd.dependency import Dependency, Narrow, ShuffleDependency
from minispark.rdd.partitioner import Partitioner
from minispark.rdd.ports import TaskContext
from minispark.rdd.preparation import Preparation

__all__ = [
    "CheckpointMark",
    "Node",
    "Origin",
    "Partition",
    "all_parents",
    "locations_of",
    "narrow_parents",
    "parents_first",
]

T_co = TypeVar("T_co", covariant=True)

Link = int | ShuffleDependency[Any, Any, Any]  # a dependency in a pickle: the place of the parent, or the shuffle
NodeRecord = tuple[type["Node[Any]"], dict[str, Any], tuple[Link, ...]]


class Partition:
    """One partition of an RDD; subclasses add what computing it needs (a file range, the parents' partitions)."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


class CheckpointMark(NamedTuple):
    """That an RDD is to be kept by a checkpoint.

    Attributes:
        is_local: by the executors, not in files.
        writing: the job that does it.
    """

    is_local: bool
    writing: Preparation


class Origin(NamedTuple):
    """Where a node comes from: its number, what made it, and the user's line that did."""

    rdd_id: RddId
    name: str
    call_site: str


class Node(Generic[T_co]):
    """What an RDD is to the engine.

    Args:
        rdd_id: its number in the application, higher than its parents'.
        name: what made it, for people: "map", "reduce_by_key".
        call_site: the user's line that made it, "app.py:12".
        dependencies: links to the parents.
        partitioner: how keys are placed, if they are.

    Attributes:
        is_order_sensitive: whether another order of the parent's records gives other records.
        is_indeterminate: whether another computation gives other records, whatever the parents give.
        is_barrier: whether the tasks of its stage start together or not at all.
        is_cached: whether executors may keep its partitions; who changes it clears `description`.
        storage_level: how, if so.
        storage_generation: how often it was persisted in the application so far, or another RDD before it.
        is_unordered: whether another computation may give its records in another order, whatever the parents give.
        prefers_as_parents: its preferred locations are made of its parents'; it is not asked if they have none.
        description: what the scheduler sees, kept by `lineage`.
        described_after: how many checkpoints had cut lineages off then.
        checkpoint: that it is to be kept by a checkpoint, until it is.
        preparation: a job of its own that must run before any that computes the node; None if there is none.
        needs_preparation: whether it or a node above has a preparation that has not run.
    """

    is_order_sensitive = False
    is_indeterminate = False
    is_unordered = False
    is_barrier = False
    is_cached = False
    storage_level = StorageLevel.NONE
    storage_generation = 0
    prefers_as_parents = False
    checkpoint: CheckpointMark | None = None
    described_after = 0

    def __init__(
        self,
        rdd_id: RddId,
        name: str,
        call_site: str,
        dependencies: Sequence[Dependency] = (),
        partitioner: Partitioner | None = None,
    ) -> None:
        self.rdd_id = rdd_id
        self.name = name
        self.call_site = call_site
        self.dependencies = tuple(dependencies)
        self.partitioner = partitioner
        self.preparation: Preparation | None = None
        self.needs_preparation: bool = any(dependency.node.needs_preparation for dependency in self.dependencies)
        self.description: LineageNode | None = None
        self._partitions: Sequence[Partition] | None = None

    def partitions(self) -> Sequence[Partition]:
        """Return the partitions, found once, in the driver; user code may run here (never on the scheduler)."""
        if self._partitions is None:
            for node in parents_first(self, knows_partitions):
                if node._partitions is None:
                    node._partitions = node.find_partitions()
        return self._partitions or ()

    def find_partitions(self) -> Sequence[Partition]:
        """Find the partitions; what a subclass implements. Those of the parents are known."""
        raise NotImplementedError

    def preferred_locations(self, partition: Partition) -> Sequence[str]:
        """Return the hosts (or `executor_HOST_ID`) where the node itself finds the partition's data; () for anywhere.

        Asked in the driver. Where parents find theirs is added by the scheduler, and by `locations_of`.
        """
        return ()

    def narrow_dependency(self, place: int) -> NarrowDependency:
        """Return which partitions of a parent in the same stage each partition needs; by default its own number.

        Args:
            place: of the parent in `dependencies`. The partitions are known.
        """
        return NarrowDependency(self.dependencies[place].node.rdd_id)

    def member(self, partition: Partition) -> "tuple[Node[Any], Partition] | None":
        """Return the parent and its partition that a partition is made of, the first of several; None if of none."""
        return None

    def prepare_by(self, preparation: Preparation) -> None:
        """Have something learnt before the first job that computes this node, after what the parents need."""
        self.preparation = preparation
        self.needs_preparation = True

    def compute(self, partition: Partition, context: TaskContext) -> Iterator[T_co]:
        """Yield the records of a partition, in a runner."""
        raise NotImplementedError

    def iterator(self, partition: Partition, context: TaskContext) -> Iterator[T_co]:
        """Yield the records of a partition, from where they are cheapest; children call this, not `compute`."""
        if self.is_cached and context.blocks is not None:
            compute = partial(self.compute, partition, context)
            return context.blocks.get_or_compute(self, partition.index, compute, context)
        return self.compute(partition, context)

    def __getstate__(self) -> dict[str, Any]:
        # A task brings its own partition; the list of all of them stays with the driver, as do the parents' links,
        # which `__reduce__` handles.
        state = vars(self) | {"_partitions": None, "preparation": None, "description": None}
        state.pop("checkpoint", None)
        del state["dependencies"]
        return state

    def __reduce__(self) -> tuple[Any, ...]:
        return restore, (flatten(self),)

    def __repr__(self) -> str:
        return f"{self.name} [{self.rdd_id}] at {self.call_site}"


def locations_of(node: Node[Any], partition: Partition) -> Sequence[str]:
    """Return where a partition's data is: the node's own locations, else those of the next node above with some."""
    while not (locations := node.preferred_locations(partition)):
        member = node.member(partition)
        if member is None:
            break
        node, partition = member
    return locations


def knows_partitions(node: Node[Any]) -> Iterator[Node[Any]]:
    """Yield the parents to visit before a node's partitions can be found: none if they are known."""
    return iter(()) if node._partitions is not None else all_parents(node)


def all_parents(node: Node[Any]) -> Iterator[Node[Any]]:
    """Yield the parents over all dependencies."""
    return (dependency.node for dependency in node.dependencies)


def narrow_parents(node: Node[Any]) -> Iterator[Node[Any]]:
    """Yield the parents of the same stage."""
    return (dependency.node for dependency in node.dependencies if isinstance(dependency, Narrow))


def parents_first(
    root: Node[Any], parents: Callable[[Node[Any]], Iterator[Node[Any]]] = all_parents
) -> list[Node[Any]]:
    """Return a node and those above it, each once, parents before children, without recursion."""
    order: list[Node[Any]] = []
    seen = {root.rdd_id}
    stack = [(root, parents(root))]
    while stack:
        node, above = stack[-1]
        for parent in above:
            if parent.rdd_id not in seen:
                seen.add(parent.rdd_id)
                stack.append((parent, parents(parent)))
                break
        else:
            order.append(node)
            stack.pop()
    return order


def flatten(root: Node[Any]) -> list[NodeRecord]:
    """Return the nodes of the root's stage as a flat list, parents first; shuffles leave their parents behind."""
    nodes = parents_first(root, narrow_parents)
    places = {node.rdd_id: place for place, node in enumerate(nodes)}
    return [
        (
            type(node),
            node.__getstate__(),
            tuple(
                dependency if isinstance(dependency, ShuffleDependency) else places[dependency.node.rdd_id]
                for dependency in node.dependencies
            ),
        )
        for node in nodes
    ]


def restore(records: list[NodeRecord]) -> Node[Any]:
    """Build the nodes of a stage again and return the last."""
    nodes: list[Node[Any]] = []
    for kind, state, links in records:
        node = kind.__new__(kind)
        vars(node).update(state)
        node.dependencies = tuple(Narrow(nodes[link]) if isinstance(link, int) else link for link in links)
        nodes.append(node)
    return nodes[-1]
