"""Which executors there are, on which hosts, in which racks, and what runs on them.

Written by the TaskScheduler, read by task sets (which levels of locality are possible), exclusion and speculation. An
executor is *alive* while it is offered: not once it is decommissioned, nor while the reason of its loss is awaited.
Source: the tables of Spark's TaskSchedulerImpl.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from minispark.ids import ExecutorId, TaskId
from minispark.record import Record, record

__all__ = ["Cluster", "Decommission", "Executor"]

MAX_REMEMBERED = 1000


@record
class Decommission(Record):
    """That an executor goes away on purpose: why, since when, and whether its host goes too."""

    reason: str
    since_s: float
    host_too: bool


@dataclass(slots=True, eq=False)
class Executor:
    """One executor and the attempts that run on it; alive while it may be given tasks."""

    executor_id: ExecutorId
    host: str
    tasks: dict[TaskId, None] = field(default_factory=dict)
    decommission: Decommission | None = None
    is_loss_pending: bool = False
    is_alive: bool = True


class Cluster:
    """The table of executors.

    Args:
        rack_of: the rack of each host that has one and was asked for; None: there are no racks.

    Attributes:
        executors: all of them, those that go away too.
        hosts: the executors alive on each host that has any.
        racks: the hosts with executors alive in each rack.
        version: counts changes of who is alive where.
    """

    def __init__(self, rack_of: Mapping[str, str] | None = None) -> None:
        self.executors: dict[ExecutorId, Executor] = {}
        self.hosts: dict[str, dict[ExecutorId, None]] = {}
        self.rack_of: Mapping[str, str] = {} if rack_of is None else rack_of
        self.racks: dict[str, dict[str, None]] = {}
        self.removed: dict[ExecutorId, Decommission] = {}
        self.version = 0

    def add(self, executor_id: ExecutorId, host: str) -> bool:
        """Take an executor; tell whether it is new."""
        if executor_id in self.executors:
            return False
        self.executors[executor_id] = Executor(executor_id, host)
        self.revived(host, executor_id)
        return True

    def revived(self, host: str, executor_id: ExecutorId) -> None:
        """Note that an executor is alive."""
        self.hosts.setdefault(host, {})[executor_id] = None
        rack = self.rack_of.get(host)
        if rack is not None:
            self.racks.setdefault(rack, {})[host] = None
        self.version += 1

    def buried(self, executor: Executor) -> None:
        """Note that an executor is not alive (any more)."""
        on_host = self.hosts.get(executor.host, {})
        if on_host.pop(executor.executor_id, self) is self:
            return
        if not on_host:
            del self.hosts[executor.host]
            rack = self.rack_of.get(executor.host)
            in_rack = self.racks.get(rack, {}) if rack is not None else {}
            in_rack.pop(executor.host, None)
            if rack is not None and not in_rack:
                self.racks.pop(rack, None)
        self.version += 1

    def racks_changed(self) -> None:
        """Take racks of hosts that were resolved meanwhile."""
        self.racks = {}
        for host in self.hosts:
            rack = self.rack_of.get(host)
            if rack is not None:
                self.racks.setdefault(rack, {})[host] = None
        self.version += 1

    def decommission(self, executor_id: ExecutorId, reason: str, now: float, host_too: bool) -> bool:
        """Note that an executor goes away on purpose; tell whether it is known. Again, it keeps its first time."""
        executor = self.executors.get(executor_id)
        if executor is None:
            return False
        before = executor.decommission
        if before is None:
            executor.decommission = Decommission(reason, now, host_too)
            executor.is_alive = False
            self.buried(executor)
        elif host_too and not before.host_too:
            executor.decommission = Decommission(before.reason, before.since_s, True)
        return True

    def decommissioned(self, executor_id: ExecutorId) -> Decommission | None:
        """Return how an executor was decommissioned, if it was: also for a while after it is gone."""
        executor = self.executors.get(executor_id)
        return executor.decommission if executor is not None else self.removed.get(executor_id)

    def is_host_decommissioned(self, host: str) -> bool:
        """Tell whether a host goes away with an executor that was decommissioned."""
        return any(
            executor.host == host and executor.decommission is not None and executor.decommission.host_too
            for executor in self.executors.values()
        )

    def loss_pending(self, executor_id: ExecutorId) -> None:
        """Give an executor no tasks until it is known why it does not answer."""
        executor = self.executors.get(executor_id)
        if executor is not None:
            executor.is_loss_pending = True
            executor.is_alive = False
            self.buried(executor)

    def remove(self, executor_id: ExecutorId) -> Executor | None:
        """Let an executor go; returns what was known of it."""
        executor = self.executors.pop(executor_id, None)
        if executor is None:
            return None
        self.buried(executor)
        if executor.decommission is not None:
            self.removed[executor_id] = executor.decommission
            if len(self.removed) > MAX_REMEMBERED:
                del self.removed[next(iter(self.removed))]
        return executor

    def is_alive(self, executor_id: ExecutorId) -> bool:
        """Tell whether an executor may be given tasks."""
        executor = self.executors.get(executor_id)
        return executor is not None and executor.is_alive

    def check(self) -> None:
        """Assert what always holds."""
        alive: dict[str, set[ExecutorId]] = {}
        for executor in self.executors.values():
            assert executor.is_alive == (executor.decommission is None and not executor.is_loss_pending)
            if executor.is_alive:
                alive.setdefault(executor.host, set()).add(executor.executor_id)
        assert {host: set(on_host) for host, on_host in self.hosts.items()} == alive, "hosts and executors differ"
