"""Task sets, executors and offers on a clock moved by hand; launches are only noted down."""

import random
from collections.abc import Sequence
from dataclasses import replace

from minispark.ids import ExecutorId, TaskId
from minispark.messages.task import TaskLocation
from minispark.scheduler.backend import WorkerOffer
from minispark.scheduler.logic.cluster import Cluster
from minispark.scheduler.logic.locality import Locality, LocalityWaits
from minispark.scheduler.logic.offers import Offers, Placed
from minispark.scheduler.logic.pool import Mode, PoolTree
from minispark.scheduler.logic.task_set import Taken, TaskSet
from minispark.testing.builders import preferences, task_set

Place = str | tuple[str, str]
WAIT_S = 3.0


class OffersHarness:
    """Executors are named "e1" on "h1", and so on, unless said otherwise; each offer is of one core by default."""

    def __init__(
        self, *executors: tuple[str, str], racks: dict[str, str] | None = None, legacy: bool = False,
        wait_s: float = WAIT_S, seed: int = 0, task_cpus: int = 1,
    ) -> None:  # fmt: skip
        self.cluster = Cluster(racks)
        self.task_cpus = task_cpus
        self.waits = LocalityWaits(wait_s, wait_s, wait_s, legacy)
        self.tree = PoolTree(Mode.FIFO)
        self.offers = Offers(self.tree.walk, self.cluster, random.Random(seed).shuffle, self, task_cpus)
        self.now = 0.0
        self.next_id = 0
        self.launched: list[tuple[int, str, Locality]] = []
        self.together: list[list[int]] = []
        for executor_id, host in executors:
            self.add(executor_id, host)

    def add(self, executor_id: str, host: str) -> None:
        self.cluster.add(ExecutorId(executor_id), host)

    def submit(
        self,
        rows: Sequence[Sequence[Place]],
        *,
        stage_id: int = 0,
        is_barrier: bool = False,
        is_map_stage: bool = False,
    ) -> TaskSet:
        submitted = replace(
            task_set(range(len(rows)), stage_id=stage_id, job_id=stage_id, is_map_stage=is_map_stage),
            preferences=preferences([[where(place) for place in row] for row in rows]),
            is_barrier=is_barrier,
        )
        tasks = TaskSet(
            submitted, max_failures=4, max_result_bytes=0, task_cpus=self.task_cpus, cluster=self.cluster,
            waits=self.waits, now=self.now,
        )  # fmt: skip
        self.tree.add(tasks)
        return tasks

    # -- what is offered ---------------------------------------------------------------------------------------------

    def one(self, executor_id: str, cores: int = 1, *, is_all_free: bool = False) -> list[int]:
        """Offer cores of one executor; returns the indices launched."""
        executor = self.cluster.executors[ExecutorId(executor_id)]
        before = len(self.launched)
        offer = WorkerOffer(executor.executor_id, executor.host, cores)
        self.offers.serve_one(offer, self.now, is_all_free)
        self.check()
        return [index for index, _, _ in self.launched[before:]]

    def all(self, cores: int = 1, *executor_ids: str) -> list[tuple[int, str, Locality]]:
        """Offer everything that is free, by default cores of each executor."""
        executors = [self.cluster.executors[ExecutorId(name)] for name in executor_ids or self.cluster.executors]
        before = len(self.launched)
        offers = [WorkerOffer(executor.executor_id, executor.host, cores) for executor in executors]
        while not self.offers.step(offers, self.now):
            pass
        self.check()
        return self.launched[before:]

    def check(self) -> None:
        self.tree.check()
        for tasks in self.tree.sorted():
            tasks.check()

    # -- the launcher ------------------------------------------------------------------------------------------------

    def launch(self, tasks: TaskSet, offer: WorkerOffer, taken: Taken) -> bool:
        index, locality, is_speculative = taken
        offer.cores -= self.task_cpus
        assert offer.cores >= 0
        task_id = TaskId(self.next_id)
        self.next_id += 1
        tasks.launched(index, task_id, offer.executor_id, offer.host, self.now, locality, is_speculative)
        self.tree.task_started(tasks)
        self.launched.append((index, offer.executor_id, locality))
        return True

    def launch_together(self, tasks: TaskSet, placed: list[Placed]) -> None:
        for offer, taken in placed:
            self.launch(tasks, offer, taken)
        self.together.append([taken[0] for _, taken in placed])


def where(place: Place) -> TaskLocation:
    """Make a location of "host" or ("host", "executor")."""
    return TaskLocation(place) if isinstance(place, str) else TaskLocation(place[0], ExecutorId(place[1]))
