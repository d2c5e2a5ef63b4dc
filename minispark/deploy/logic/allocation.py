"""Where executors and drivers go: which workers, how many cores on each. Source: Spark's Master.

Called by `logic.scheduling` with what is free and what is wanted; decides and changes nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from minispark.ids import WorkerId
from minispark.record import Record, record

__all__ = ["ExecutorDemand", "FreeResources", "in_order_of_policy", "place_driver", "place_executors"]


class FreeResources(Protocol):
    """What is free on a worker."""

    @property
    def worker_id(self) -> WorkerId:
        """The worker's name."""

    @property
    def cores_free(self) -> int:
        """Cores that nobody has."""

    @property
    def memory_free_bytes(self) -> int:
        """Bytes that nobody has."""


@record
class ExecutorDemand(Record):
    """What an application wants now.

    `cores` are those it still lacks, `executors` how many more it may have (None: any number).
    `cores_per_executor` 0: one executor on each worker, with all cores that it gets there.
    """

    cores: int
    cores_per_executor: int
    memory_per_executor_bytes: int
    executors: int | None = None

    @property
    def step(self) -> int:
        """The cores by which it grows."""
        return self.cores_per_executor or 1


ORDERS: dict[str, Callable[[FreeResources], Any]] = {
    "cores_free_asc": lambda worker: (worker.cores_free, worker.worker_id),
    "cores_free_desc": lambda worker: (-worker.cores_free, worker.worker_id),
    "memory_free_asc": lambda worker: (worker.memory_free_bytes, worker.worker_id),
    "memory_free_desc": lambda worker: (-worker.memory_free_bytes, worker.worker_id),
    "worker_id": lambda worker: worker.worker_id,
}


def in_order_of_policy(workers: Iterable[FreeResources], policy: str) -> list[Any]:
    """Return the workers in the order in which a policy of `minispark.deploy.workerSelectionPolicy` serves them."""
    return sorted(workers, key=ORDERS[policy])


class Placement:
    """One application's executors being dealt out to the workers that can take one."""

    def __init__(self, demand: ExecutorDemand, workers: Sequence[FreeResources]) -> None:
        self.demand = demand
        self.workers = workers
        self.cores = [0] * len(workers)
        self.executors = [0] * len(workers)
        self.cores_left = min(demand.cores, sum(worker.cores_free for worker in workers))
        self.executors_left = demand.executors

    def can_grow(self, position: int) -> bool:
        """Tell whether the worker can give the application one step more; memory is taken by new executors only."""
        demand, worker = self.demand, self.workers[position]
        if self.cores_left < demand.step or worker.cores_free - self.cores[position] < demand.step:
            return False
        if not self.is_new_executor(position):
            return True
        memory_bytes = (self.executors[position] + 1) * demand.memory_per_executor_bytes
        return worker.memory_free_bytes >= memory_bytes and self.executors_left != 0

    def is_new_executor(self, position: int) -> bool:
        """Tell whether the next step on the worker starts an executor, or lets the one that is there grow."""
        return self.demand.cores_per_executor > 0 or self.executors[position] == 0

    def grow(self, position: int) -> None:
        """Give the application one step on the worker."""
        if self.is_new_executor(position):
            self.executors[position] += 1
            if self.executors_left is not None:
                self.executors_left -= 1
        self.cores_left -= self.demand.step
        self.cores[position] += self.demand.step


def place_executors(demand: ExecutorDemand, workers: Sequence[FreeResources], spread_out: bool) -> list[list[int]]:
    """Return for each worker the cores of each executor that is to be started there.

    Args:
        demand: what is wanted.
        workers: those that may be used, in the order in which they are.
        spread_out: one step on each worker in turn; else all that fits on the first, then on the next.
    """
    placement = Placement(demand, workers)
    free = [position for position in range(len(workers)) if placement.can_grow(position)]
    while free:
        for position in free:
            while placement.can_grow(position):
                placement.grow(position)
                if spread_out:
                    break
        free = [position for position in free if placement.can_grow(position)]
    per_executor = demand.cores_per_executor
    return [
        [per_executor] * (cores // per_executor) if per_executor else [cores] * (cores > 0)
        for cores in placement.cores
    ]


def place_driver(cores: int, memory_bytes: int, workers: Sequence[FreeResources], start: int) -> int | None:
    """Return the position of the first worker, going round from `start`, that can take a driver; None: none can."""
    for offset in range(len(workers)):
        position = (start + offset) % len(workers)
        worker = workers[position]
        if worker.cores_free >= cores and worker.memory_free_bytes >= memory_bytes:
            return position
    return None
