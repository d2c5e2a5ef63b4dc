"""Random programs of a simulated driver: RDDs with shuffles, actions over them, and their answers in plain Python."""

import random
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import partial
from operator import add
from pathlib import Path
from typing import Any

from minispark import BarrierTaskContext
from minispark.context import SparkContext
from minispark.errors import JobFailed

Pair = tuple[int, int]
Pairs = list[Pair]

MIN_TASKS = 100
KEYS = 20
BARRIER_TASKS = 2
BROADCAST_LENGTH = 50
TOGETHER = -1  # the key under which the tasks of a barrier stage say how much all of them had


@dataclass
class Plan:
    """One RDD of a program.

    Attributes:
        kind: how it is made of its parents.
        parents: their places in the program.
        partitions: how many it has.
        answer: its records, sorted.
        tasks: how many tasks it takes with all above it, if nothing is there yet.
        is_cached: whether it is persisted.
    """

    kind: str
    parents: tuple[int, ...]
    partitions: int
    answer: Pairs
    tasks: int
    is_cached: bool = False


@dataclass
class Action:
    """A job: its number, what it does with which RDD, and when it starts, seconds."""

    number: int
    kind: str
    rdd: int
    start_s: float


class Program:
    """A random program with at least 3 jobs, 2 shuffles and 100 tasks.

    Args:
        rng: draws it.
        until_s: when the last of its jobs starts.
        min_tasks: how many tasks it has at least.

    Attributes:
        plans: the RDDs.
        actions: the jobs.
        last: one more job, for when all others have ended.
    """

    def __init__(self, rng: random.Random, until_s: float = 20.0, min_tasks: int = MIN_TASKS) -> None:
        self.rng: random.Random = rng
        self.plans: list[Plan] = []
        for _ in range(rng.randint(1, 2)):
            pairs = [(rng.randrange(KEYS), rng.randrange(1000)) for _ in range(rng.randint(30, 80))]
            self.plans.append(Plan("source", (), rng.randint(6, 14), pairs, 0))
        self.add_reduced(0)
        for _ in range(rng.randint(2, 5)):
            rng.choice([self.add_mapped, self.add_reduced, self.add_reduced, self.add_union])(self.some())
        self.add_reduced(len(self.plans) - 1)
        wide = [number for number, plan in enumerate(self.plans) if plan.kind == "reduced"]
        self.actions: list[Action] = []
        tasks = 0
        while len(self.actions) < 3 or tasks < min_tasks:
            rdd = wide[-1] if not self.actions else rng.choice(wide)
            kind = rng.choice(["collect", "collect", "count", "accumulate", "save", "meet", "look up"])
            self.actions.append(Action(len(self.actions), kind, rdd, rng.uniform(0.0, until_s)))
            tasks += self.plans[rdd].partitions if len(self.actions) > 1 else self.plans[rdd].tasks
        self.last = Action(len(self.actions), "collect", wide[-1], 0.0)
        if rng.random() < 0.3:
            self.plans[rng.choice(wide)].is_cached = True

    def some(self) -> int:
        """Choose an RDD, the last ones more often."""
        last = len(self.plans) - 1
        number: int = self.rng.choice((*range(len(self.plans)), last, last))
        return number

    def add_mapped(self, parent: int) -> None:
        """Add an RDD whose records are changed one by one."""
        above = self.plans[parent]
        self.plans.append(Plan("mapped", (parent,), above.partitions, list(map(change, above.answer)), above.tasks))

    def add_union(self, parent: int) -> None:
        """Add the records of two RDDs."""
        other = self.some()
        plans = [self.plans[parent], self.plans[other]]
        self.plans.append(
            Plan(
                "union",
                (parent, other),
                sum(plan.partitions for plan in plans),
                plans[0].answer + plans[1].answer,
                sum(plan.tasks for plan in plans),
            )
        )

    def add_reduced(self, parent: int) -> None:
        """Add sums by key: a shuffle."""
        above = self.plans[parent]
        sums: dict[int, int] = {}
        for key, value in above.answer:
            sums[key] = sums.get(key, 0) + value
        count = self.rng.randint(4, 12)
        tasks = above.tasks + above.partitions + (0 if above.kind == "reduced" else count)
        self.plans.append(Plan("reduced", (parent,), count, list(sums.items()), tasks))

    # -- in the driver -----------------------------------------------------------------------------------------------

    def make(self, context: SparkContext) -> list[Any]:
        """Make the RDDs."""
        rdds: list[Any] = []
        for plan in self.plans:
            above = [rdds[parent] for parent in plan.parents]
            match plan.kind:
                case "source":
                    rdds.append(context.parallelize(plan.answer, plan.partitions))
                case "mapped":
                    rdds.append(above[0].map(change))
                case "union":
                    rdds.append(above[0].union(above[1]))
                case _:
                    rdds.append(above[0].reduce_by_key(add, plan.partitions))
            if plan.is_cached:
                rdds[-1].cache()
        return rdds

    def job(self, context: SparkContext, rdds: list[Any], action: Action, folder: Path) -> Coroutine[Any, Any, str]:
        """Run one action; return what is wrong with its answer, empty if nothing is."""
        jobs: dict[str, Callable[..., Coroutine[Any, Any, str]]] = {
            "collect": self.collect, "count": self.count, "accumulate": self.accumulate,
            "save": partial(self.save, folder / f"output-{action.number}"), "meet": self.meet,
            "look up": self.look_up,
        }  # fmt: skip
        return jobs[action.kind](context, rdds[action.rdd], self.plans[action.rdd])

    async def collect(self, context: SparkContext, rdd: Any, plan: Plan) -> str:
        """Bring all records to the driver."""
        return different(sorted(await rdd.collect()), sorted(plan.answer))

    async def count(self, context: SparkContext, rdd: Any, plan: Plan) -> str:
        """Count the records."""
        return different(await rdd.count(), len(plan.answer))

    async def accumulate(self, context: SparkContext, rdd: Any, plan: Plan) -> str:
        """Count records and partitions by accumulators, which must count each once."""
        records, partitions = context.accumulator(0), context.accumulator(0)

        def visit(task: object, pairs: Iterator[Pair]) -> int:
            size = sum(1 for _ in pairs)
            records.add(size)
            partitions.add(1)
            return size

        sizes = await context.run_job(rdd, visit)
        return different((sum(sizes), records.value, partitions.value), (len(plan.answer),) * 2 + (plan.partitions,))

    async def save(self, path: Path, context: SparkContext, rdd: Any, plan: Plan) -> str:
        """Write files, each of them once."""
        await rdd.save_as_text_file(str(path))
        parts = sorted(path.glob("part-*"))
        if len(parts) != plan.partitions:
            return f"{len(parts)} files instead of {plan.partitions}"
        lines = [line for part in parts for line in part.read_text().splitlines()]
        return different(sorted(lines), sorted(map(str, plan.answer)))

    async def look_up(self, context: SparkContext, rdd: Any, plan: Plan) -> str:
        """Add to each record what a broadcast says of its key; sometimes twice, and dropped in between."""
        names = context.broadcast({key: [key] * BROADCAST_LENGTH for key in range(KEYS)})
        looked_up = rdd.map(lambda pair: (*pair, sum(names.value[pair[0]])))
        wanted = sorted((*pair, pair[0] * BROADCAST_LENGTH) for pair in plan.answer)
        wrong = different(sorted(await looked_up.collect()), wanted)
        if wrong or plan.partitions % 2:
            return wrong
        await names.unpersist()
        return different(sorted(await looked_up.collect()), wanted)

    async def meet(self, context: SparkContext, rdd: Any, plan: Plan) -> str:
        """Have the tasks of a stage wait for each other; an application that follows its load may not."""
        stage = rdd.reduce_by_key(add, BARRIER_TASKS).barrier().map_partitions(meet)
        try:
            records = await stage.reduce_by_key(add, BARRIER_TASKS).collect()
        except JobFailed as error:
            if context.driver.allocation is None or "dynamicAllocation" not in str(error):
                raise
            return ""
        return different(sorted(records), [(TOGETHER, BARRIER_TASKS * len(plan.answer)), *sorted(plan.answer)])


def meet(pairs: Iterator[Pair]) -> Iterator[Pair]:
    """Wait for the other tasks of the stage, twice, and tell how many records they have together."""
    context = BarrierTaskContext.get()
    own = list(pairs)
    together = sum(map(int, context.all_gather(str(len(own)))))
    context.barrier()
    yield TOGETHER, together
    yield from own


def change(pair: Pair) -> Pair:
    """Change a record."""
    return (pair[0] * 3) % KEYS, pair[1] + 1


def different(got: object, wanted: object) -> str:
    """Say what is wrong; empty if nothing is."""
    return "" if got == wanted else f"{got!r} instead of {wanted!r}"
