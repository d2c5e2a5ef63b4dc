"""How many executors an application wants, by what waits and runs.

`executor_allocation` asks every now and then and tells the cluster; which executors go is `executor_monitor`'s to
know. The number grows when tasks have waited for a while, by 1, 2, 4 … executors at a time, and falls as soon as
fewer would do; lowering it ends no executor, it only takes back requests. Times are seconds of one clock.
Source: Spark's ExecutorAllocationManager.
"""

import math
from collections.abc import Sequence

from minispark.ids import ExecutorId
from minispark.record import Record, record
from minispark.scheduler.logic.backlog import Backlog

__all__ = ["UNBOUNDED", "AllocationRules", "AllocationTarget", "Request"]

UNBOUNDED = 1 << 31
"""Executors at most where nothing is said."""


@record
class AllocationRules(Record):
    """What is allowed.

    Attributes:
        min_executors: are always wanted.
        max_executors: are never exceeded.
        initial_executors: are wanted before anything is known.
        ratio: the share of the executors that all tasks at once would fill.
        backlog_s: how long tasks wait before more executors are wanted.
        sustained_s: how long they wait before still more are.
    """

    min_executors: int = 0
    max_executors: int = UNBOUNDED
    initial_executors: int = 0
    ratio: float = 1.0
    backlog_s: float = 1.0
    sustained_s: float = 1.0


@record
class Request(Record):
    """That so many executors are wanted now; with what was before, in case nobody takes it."""

    total: int
    before: int
    step_before: int


class AllocationTarget:
    """How many executors are wanted.

    Args:
        rules: the bounds.
        tasks_per_executor: how many tasks one runs at a time; may be changed when that turns out.

    Attributes:
        total: that number.
        step: how many more are wanted when tasks have waited again.
        add_s: when tasks have waited long enough; infinite while nothing waits.
        is_initial: nothing ran, and nothing was idle for long yet: the first number stands.
        is_unsure: the cluster may want another number, because a request was not answered.
    """

    def __init__(self, rules: AllocationRules, tasks_per_executor: int) -> None:
        self.rules = rules
        self.tasks_per_executor = tasks_per_executor
        self.total = rules.initial_executors
        self.step = 1
        self.add_s = math.inf
        self.is_initial = True
        self.is_unsure = False

    # -- what happens ------------------------------------------------------------------------------------------------

    def backlogged(self, now: float) -> None:
        """Begin to wait, unless tasks wait already."""
        if self.add_s == math.inf:
            self.add_s = now + self.rules.backlog_s

    def queue_empty(self) -> None:
        """Take that nothing waits any more."""
        self.add_s = math.inf
        self.step = 1

    def begun(self) -> None:
        """Take that a stage was submitted, or that an executor was idle too long: from now on the number follows."""
        self.is_initial = False

    # -- decisions ---------------------------------------------------------------------------------------------------

    def need(self, backlog: Backlog, num_executors: int) -> int:
        """Return how many executors all tasks that wait or run could use.

        A single executor would be given second attempts on the host of the first ones: then one more is needed.
        """
        copies = backlog.num_pending_copies
        need = self.executors_for(backlog.num_pending + copies + backlog.num_running)
        if self.tasks_per_executor > 1 and need == 1 and copies:
            need = 2
        if backlog.unschedulable:  # those that are there do not help
            need = max(need, num_executors + self.executors_for(len(backlog.unschedulable)))
        return need

    def executors_for(self, num_tasks: int) -> int:
        """Return how many executors are to run so many tasks."""
        return math.ceil(num_tasks * self.rules.ratio / self.tasks_per_executor)

    def update(self, need: int, num_executors: int, now: float) -> Request | None:
        """Adapt the number; return what is to be asked for if it changed, or if the cluster may have another one.

        Args:
            need: what could be used.
            num_executors: how many there are.
            now: the time.
        """
        if self.is_initial:
            return None
        before = Request(self.total, self.total, self.step)
        if need < self.total:
            self.total = max(need, self.rules.min_executors)
            self.step = 1
        elif now >= self.add_s:
            self.add(need, num_executors)
            self.add_s = now + self.rules.sustained_s
        if self.total == before.total and not self.is_unsure:
            return None
        self.is_unsure = False
        return Request(self.total, before.total, before.step_before)

    def add(self, need: int, num_executors: int) -> None:
        """Want more: a step beyond what there is, no more than can be used, and within the bounds."""
        rules, before = self.rules, self.total
        if before >= rules.max_executors:
            self.step = 1
            return
        wanted = min(max(before, num_executors) + self.step, need)
        self.total = max(min(wanted, rules.max_executors), rules.min_executors)
        self.step = self.step * 2 if self.total - before == self.step else 1

    def refused(self, request: Request) -> None:
        """Take back a request that the cluster did not take, as far as is known; it is made again in its time.

        A master that falls may have taken it, and a new one is told what was asked for last: so one is asked anew.
        """
        self.total, self.step, self.is_unsure = request.before, request.step_before, True

    def removable(self, idle: Sequence[ExecutorId], num_staying: int) -> list[ExecutorId]:
        """Return which of the idle executors may go: neither the bounds nor the number that is wanted forbid it.

        Args:
            idle: those that were idle for too long.
            num_staying: how many there are that were not told to go.
        """
        spare = num_staying - max(self.rules.min_executors, self.total)
        return list(idle[: max(spare, 0)])

    def check(self) -> None:
        """Assert the invariants."""
        assert self.step >= 1
        assert self.total <= self.rules.max_executors
        assert self.is_initial or self.total >= self.rules.min_executors
