"""Pools: in which order task sets get the slots. Source: Spark's Pool and SchedulingAlgorithm.

With FIFO there is one pool: the older job goes first, then the earlier stage. With FAIR each job names its
pool; pools share the slots by minimum share and weight; within a pool jobs go by its own mode. Pools may hold pools.
"""

import enum
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

from minispark.record import Record, record
from minispark.scheduler.logic.task_set import TaskSet

__all__ = ["DEFAULT_POOL", "POOL_PROPERTY", "Mode", "Pool", "PoolSpec", "PoolTree"]

DEFAULT_POOL = "default"
POOL_PROPERTY = "minispark.scheduler.pool"


class Mode(enum.Enum):
    """How the members of a pool share."""

    FIFO = "fifo"
    FAIR = "fair"


@record
class PoolSpec(Record):
    """What a pool is configured to be.

    Attributes:
        name: jobs name it in the property `minispark.scheduler.pool`; unique in the tree.
        mode: how its members share.
        min_share: slots it gets before pools that have theirs get more.
        weight: its part of the rest, beside the weights of its siblings.
        parent: the pool that holds it; empty for the root.
    """

    name: str
    mode: Mode = Mode.FIFO
    min_share: int = 0
    weight: int = 1
    parent: str = ""


Entry = tuple[bool, float, str, int, "Pool | TaskSet"]


class Pool:
    """A node of the tree: pools, or task sets, that share slots.

    Args:
        spec: name, mode, shares.
        parent: the pool that holds it; None for the root.
    """

    __slots__ = (
        "entry", "fair", "min_share", "mode", "moved", "name", "parent", "pools", "running", "serial", "task_sets",
        "weight",
    )  # fmt: skip

    def __init__(self, spec: PoolSpec, parent: "Pool | None" = None) -> None:
        if not isinstance(spec.mode, Mode):
            raise ValueError(f"{spec.mode!r} is not a scheduling mode of a pool: use FIFO or FAIR")
        self.name = spec.name
        self.mode = spec.mode
        self.min_share = spec.min_share
        self.weight = spec.weight
        self.parent = parent
        self.pools: dict[str, Pool] = {}
        self.task_sets: list[TaskSet] = []  # always in FIFO order, so that a FIFO pool costs nothing to sort
        self.running = 0  # tasks of all task sets below
        self.fair: list[Entry] = []  # the members in fair order, but for those that moved since it was walked
        self.moved: dict[Pool | TaskSet, None] = {}
        self.entry: Entry | None = None  # where the parent has it
        self.serial = 0

    def walk(self) -> Iterator[TaskSet]:
        """Go through the task sets below, the one to be served first in front; counts may change meanwhile."""
        if self.mode is Mode.FIFO:
            for pool in self.pools.values():
                yield from pool.walk()
            yield from self.task_sets
            return
        self.settle()
        for entry in tuple(self.fair):
            member = entry[-1]
            if isinstance(member, Pool):
                yield from member.walk()
            else:
                yield member

    def count(self, task_set: TaskSet, change: int) -> None:
        """Note that a task started (+1) or ended (−1), here and in all pools around this one."""
        member: Pool | TaskSet = task_set
        pool: Pool | None = self
        while pool is not None:
            pool.running += change
            if pool.mode is Mode.FAIR:
                pool.moved[member] = None
            member, pool = pool, pool.parent

    # -- fair order --------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Put the members that moved where they belong; the others stay, so that this costs what has happened."""
        for member in self.moved:
            self.withdraw(member)
            entry = self.place(member)
            member.entry = entry
            insort(self.fair, entry)
        self.moved.clear()

    def place(self, member: "Pool | TaskSet") -> Entry:
        """Return a member's place in the fair order; its number tells members of one name apart."""
        self.serial += 1
        if isinstance(member, Pool):
            order = fair_order(member.running, member.min_share, member.weight)
        else:
            order = fair_order(len(member.running), 0, 1)
        return (*order, member.name, self.serial, member)

    def withdraw(self, member: "Pool | TaskSet") -> None:
        """Take a member out of the fair order."""
        if member.entry is not None:
            del self.fair[bisect_left(self.fair, member.entry)]
            member.entry = None

    def forget(self, member: "Pool | TaskSet") -> None:
        """Take a member out of the fair order for good."""
        self.moved.pop(member, None)
        self.withdraw(member)

    def use_mode(self, mode: Mode) -> None:
        """Change how the members share."""
        self.mode = mode
        members: list[Pool | TaskSet] = [*self.pools.values(), *self.task_sets]
        for member in members:
            self.withdraw(member)
            self.moved[member] = None


class PoolTree:
    """All pools of an application, and which one each task set is in.

    Args:
        mode: FIFO ignores what pool a job names.
        specs: the configured pools; those around others come first.
    """

    def __init__(self, mode: Mode, specs: Iterable[PoolSpec] = ()) -> None:
        self.root = Pool(PoolSpec("root", mode))
        self.is_fifo = mode is Mode.FIFO  # then there is no other pool
        self.pools: dict[str, Pool] = {}
        self.configured: set[str] = set()
        self.pool_of: dict[TaskSet, Pool] = {}
        if mode is Mode.FAIR:
            for spec in (PoolSpec(DEFAULT_POOL), *specs):
                self.configure(spec)

    def configure(self, spec: PoolSpec) -> None:
        """Add a pool, or change what a pool that exists is configured to be; its task sets stay.

        Raises:
            ValueError: the parent does not exist, or the pool would have to move.
        """
        parent = self.pools.get(spec.parent) if spec.parent else self.root
        if parent is None:
            raise ValueError(f"pool {spec.name!r} names the parent {spec.parent!r}, which does not exist")
        pool = self.pools.get(spec.name)
        if pool is None:
            pool = self.make(spec, parent)
        elif pool.parent is not parent:
            raise ValueError(f"pool {spec.name!r} exists already elsewhere in the tree")
        pool.min_share, pool.weight = spec.min_share, spec.weight
        pool.use_mode(spec.mode)
        parent.moved[pool] = None
        self.configured.add(spec.name)

    def make(self, spec: PoolSpec, parent: Pool) -> Pool:
        """Make a pool in another one."""
        pool = self.pools[spec.name] = parent.pools[spec.name] = Pool(spec, parent)
        parent.moved[pool] = None
        return pool

    def add(self, task_set: TaskSet) -> None:
        """Take a task set into its pool; a pool that is not configured has the defaults and goes when it is empty."""
        pool = self.root if self.root.mode is Mode.FIFO else self.named(task_set.properties.get(POOL_PROPERTY))
        insort(pool.task_sets, task_set, key=fifo_order)
        pool.moved[task_set] = None
        self.pool_of[task_set] = pool

    def named(self, name: str | None) -> Pool:
        """Return the pool of that name, made if there is none; without a name the default pool."""
        name = name or DEFAULT_POOL
        pool = self.pools.get(name)
        if pool is None:
            pool = self.make(PoolSpec(name), self.root)
        return pool

    def remove(self, task_set: TaskSet) -> None:
        """Let a task set go."""
        pool = self.pool_of.pop(task_set)
        pool.task_sets.remove(task_set)
        pool.forget(task_set)
        if not pool.task_sets and pool is not self.root and pool.name not in self.configured:
            del self.pools[pool.name]
            del self.root.pools[pool.name]
            self.root.forget(pool)

    def walk(self) -> Iterable[TaskSet]:
        """Go through all task sets, the one to be served first in front; none may come or go meanwhile."""
        root = self.root
        return root.task_sets if root.mode is Mode.FIFO else root.walk()

    def sorted(self) -> list[TaskSet]:
        """Return all task sets, the one to be served first in front."""
        return list(self.root.walk())

    def task_started(self, task_set: TaskSet) -> None:
        """Count a task in."""
        if self.is_fifo:
            self.root.running += 1
        else:
            self.pool_of[task_set].count(task_set, 1)

    def task_ended(self, task_set: TaskSet) -> None:
        """Count a task out."""
        if self.is_fifo:
            self.root.running -= 1
        else:
            self.pool_of[task_set].count(task_set, -1)

    def check(self) -> None:
        """Assert that the counts are those of the task sets."""
        for pool in (self.root, *self.pools.values()):
            below = sum(len(task_set.running) for task_set in pool.walk())
            assert pool.running == below, f"pool {pool.name} counts {pool.running} tasks, {below} run"
            assert pool.fair == sorted(pool.fair), f"the order of pool {pool.name} is not in order"


def fifo_order(task_set: TaskSet) -> tuple[int, int]:
    """Return the FIFO order of a task set: the older job first, then the earlier stage."""
    return task_set.job_id, task_set.stage_id


def fair_order(running: int, min_share: int, weight: int) -> tuple[bool, float]:
    """Return the order among fair siblings.

    Who has less than its minimum share goes first, the emptiest share in front; then who runs least for its weight.
    """
    if running < min_share:
        return False, running / max(min_share, 1)
    return True, running / weight
