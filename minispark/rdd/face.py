"""What all methods of an RDD stand on: its context, its node, and how one RDD is made of another.

The methods are in modules by subject (`transformations`, `pair`, `joins`, `sorting`, `actions`, `streaming`,
`saving`), each a class over `Face`; `rdd.RDD` is all of them. Methods for pairs type their `self` as
`Face[tuple[K, V]]`, so that a type checker refuses them on an RDD of anything else.
"""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast

from minispark.errors import ContextError, PicklingError
from minispark.rdd.arguments import no_attribute
from minispark.rdd.call_site import call_site
from minispark.rdd.lineage import prepare
from minispark.rdd.node import Node, Origin
from minispark.rdd.partitioner import HashPartitioner, Partitioner, portable_hash
from minispark.rdd.ports import JobRunner, TaskContext

if TYPE_CHECKING:
    from minispark.rdd.rdd import RDD

__all__ = ["Face", "default_partitioner", "new_origin", "nodes_of"]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
U = TypeVar("U")


class Face(Generic[T_co]):
    """An RDD without its methods.

    Attributes:
        context: runs its jobs; the SparkContext that made it.
        node: what it is to the engine.
    """

    def __init__(self, context: JobRunner, node: Node[T_co]) -> None:
        self.context = context
        self.node = node

    @property
    def id(self) -> int:
        """Its number in the application."""
        return self.node.rdd_id

    @property
    def name(self) -> str:
        """What made it ("map"), or what `set_name` said."""
        return self.node.name

    @property
    def partitioner(self) -> Partitioner | None:
        """How its keys are placed; None if nobody knows."""
        return self.node.partitioner

    def get_num_partitions(self) -> int:
        """Return how many partitions it has; finding out may list files."""
        return len(self.node.partitions())

    def origin(self, name: str) -> Origin:
        """Return where a new RDD comes from: a fresh id, the operation, and the user's line."""
        return new_origin(self.context, name)

    def derive(self, node: Node[U]) -> "RDD[U]":
        """Return the RDD of a node, in the same context."""
        return cast("type[RDD[U]]", type(self))(self.context, node)

    # A plain function, as run_job of a context is: a frame of ours less in each traceback that a user reads.
    def run(
        self,
        function: Callable[[TaskContext, Iterator[T_co]], U],
        partitions: Sequence[int] | None,
        allow_local: bool = False,
    ) -> Coroutine[Any, Any, list[U]]:
        """Run a job: a function over the partitions (None: all), after what must be learnt before it."""
        return self.context.run_job(self, function, partitions, allow_local)

    async def prepare(self) -> None:
        """Run the jobs that must come before any of its own, if there are any (the sampling of a sort)."""
        await prepare(self.node)

    def __reduce__(self) -> NoReturn:
        raise PicklingError(
            f"RDD {self.node!r} is used inside a function that runs in tasks; RDDs exist in the driver only: join"
            " them, or collect the smaller one and use its records"
        )

    def __await__(self) -> NoReturn:
        raise TypeError(f"RDD {self.node!r} cannot be awaited, it is lazy: await an action of it, as rdd.collect()")

    if not TYPE_CHECKING:  # a type checker would take any name for one that is there

        def __getattr__(self, name: str) -> NoReturn:
            raise no_attribute(self, name)  # only asked for names that are missing

    def __repr__(self) -> str:
        return f"<RDD {self.node!r}>"


def new_origin(context: JobRunner, name: str) -> Origin:
    """Return where a new RDD comes from: a fresh id, the operation, and the user's line."""
    return Origin(context.new_rdd_id(), name, call_site())


def nodes_of(what: str, first: Face[Any], others: Sequence[object]) -> list[Node[Any]]:
    """Return the nodes of RDDs that an operation brings together.

    Args:
        what: the operation.
        first: the RDD that it is a method of.
        others: its arguments.

    Raises:
        TypeError: one of them is no RDD.
        ContextError: one of them is of another context; its numbers mean something else there.
    """
    nodes = [first.node]
    for other in others:
        if not isinstance(other, Face):
            raise TypeError(f"{what} needs another RDD, not {shortened(other)}")
        if other.context is not first.context:
            raise ContextError(
                f"{what} needs RDDs of one SparkContext: {first!r} is of {described(first.context)}, and {other!r} of"
                f" {described(other.context)}; make both with the same one"
            )
        nodes.append(other.node)
    return nodes


def described(context: object) -> str:
    """Say which context it is, and which line made it; one of the test kit's does not know."""
    site = getattr(context, "call_site", "")
    return f"{context!r} made at {site}" if site else repr(context)


def default_partitioner(
    context: JobRunner,
    nodes: Sequence[Node[Any]],
    num_partitions: int | None,
    function: Callable[[Any], int] = portable_hash,
) -> Partitioner:
    """Return the partitioner of a shuffle. Source: Spark's Partitioner.defaultPartitioner.

    Without a number, a parent's own partitioner is kept (so that nothing moves) if it places by the same function,
    unless its partitions are few beside the others'; else there are `minispark.default.parallelism` partitions if
    that is set, or as many as the parent with the most has.
    """
    if num_partitions is not None:
        return HashPartitioner(num_partitions, function)
    widest = max(len(node.partitions()) for node in nodes)
    count = context.conf.default_parallelism or max(widest, 1)
    # Another function may place equal keys apart (salting does), and may not know the keys of the other parents.
    placed = [
        node.partitioner
        for node in nodes
        if isinstance(node.partitioner, HashPartitioner) and node.partitioner.function == function
    ]
    best = max(placed, key=lambda partitioner: partitioner.num_partitions, default=None)
    # A tenth of the parallelism costs more than the shuffle saves.
    if best is not None and (widest < 10 * best.num_partitions or count <= best.num_partitions):
        return best
    return HashPartitioner(count, function)
