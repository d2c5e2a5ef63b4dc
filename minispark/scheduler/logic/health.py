"""Which executors and hosts the whole application has left, because tasks of successful sets failed there.

The TaskScheduler asks it before it makes offers to the task sets, and performs the orders that it returns. It keeps
no time of its own: expired exclusions go when offers are made. Source: Spark's HealthTracker.
"""

import math
from collections.abc import Mapping

from minispark.ids import ExecutorId
from minispark.messages.listener import Excluded, Unexcluded
from minispark.record import Record, record
from minispark.scheduler.logic.exclusion import ExecutorFailures

__all__ = ["HealthAction", "HealthRules", "HealthTracker", "RemoveExecutor", "RemoveExecutorsOnHost"]


@record
class HealthRules(Record):
    """How many failures the application forgives, and what it does then.

    Attributes:
        failed_tasks_per_executor: failures on an executor, in successful sets, before it is excluded.
        failed_executors_per_node: excluded executors of a host before the host is.
        timeout_s: how long an exclusion lasts, and after what time a failure is forgotten.
        kill: whether what is excluded is also ended, so that the cluster may replace it.
        decommission: whether it is decommissioned instead of killed.
        fetch_failure: whether an unreadable map output excludes its executor at once.
        shuffle_service: whether map outputs are served by the host, so that the host is excluded instead.
    """

    failed_tasks_per_executor: int = 2
    failed_executors_per_node: int = 2
    timeout_s: float = 3600.0
    kill: bool = False
    decommission: bool = False
    fetch_failure: bool = False
    shuffle_service: bool = False


@record
class RemoveExecutor(Record):
    """Kill an executor with what runs on it, or decommission it; one that replaces it is welcome."""

    executor_id: ExecutorId
    decommission: bool
    reason: str


@record
class RemoveExecutorsOnHost(Record):
    """Kill, or decommission, all executors of a host."""

    host: str
    decommission: bool
    reason: str


HealthAction = Excluded | RemoveExecutor | RemoveExecutorsOnHost


@record
class ExcludedExecutor(Record):
    """Where an excluded executor is, or was, and until when it is excluded."""

    host: str
    expires_s: float


class HealthTracker:
    """The application's memory of failures.

    Args:
        rules: how much is forgiven.
    """

    def __init__(self, rules: HealthRules) -> None:
        self.rules = rules
        # When each failure will be forgotten. An excluded executor starts anew, so the lists stay short.
        self.failures: dict[ExecutorId, list[float]] = {}
        self.executors: dict[ExecutorId, ExcludedExecutor] = {}
        self.hosts: dict[str, float] = {}
        # Dead executors stay until they expire: a host that kills one after the other shall be found out.
        self.excluded_on_host: dict[str, dict[ExecutorId, None]] = {}
        self.next_expiry_s = math.inf

    def excludes_nothing(self) -> bool:
        """Whether every executor may be used; then offers need no look."""
        return not self.executors and not self.hosts

    def refuses(self, executor_id: ExecutorId, host: str) -> bool:
        """Tell whether an executor is excluded, itself or with its host."""
        return executor_id in self.executors or host in self.hosts

    def excluded_hosts(self) -> tuple[str, ...]:
        """The hosts on which no new executors are wanted."""
        return tuple(self.hosts)

    def task_set_succeeded(self, failures: Mapping[ExecutorId, ExecutorFailures], now: float) -> list[HealthAction]:
        """Take the failures of a set that succeeded, so that they were not the user's code's.

        A failure counts from the time it happened, not from the time its set was done; a task that failed
        several times on an executor counts once.
        """
        for executor_id, failed in failures.items():
            known = self.failures.setdefault(executor_id, [])
            known.extend(time_s + self.rules.timeout_s for _, time_s in failed.tasks.values())
        self.drop_expired(now)
        actions: list[HealthAction] = []
        for executor_id, failed in failures.items():
            count = len(self.failures.get(executor_id, ()))
            if count >= self.rules.failed_tasks_per_executor and executor_id not in self.executors:
                actions += self.exclude(executor_id, failed.host, count, now)
        return actions

    def drop_expired(self, now: float) -> None:
        """Forget old failures, also those of executors that have none since, or are gone."""
        for executor_id, known in list(self.failures.items()):
            known[:] = [expires_s for expires_s in known if expires_s >= now]
            if not known:
                del self.failures[executor_id]

    def exclude(self, executor_id: ExecutorId, host: str, failed_tasks: int, now: float) -> list[HealthAction]:
        """Exclude an executor, and its host with the last of its executors that was forgiven."""
        self.failures.pop(executor_id, None)
        actions = self.exclude_executor(executor_id, host, failed_tasks, now)
        excluded = len(self.excluded_on_host[host])
        if excluded >= self.rules.failed_executors_per_node and host not in self.hosts:
            actions += self.exclude_host(host, excluded, now)
        return actions

    def exclude_executor(
        self, executor_id: ExecutorId, host: str, failed_tasks: int, now: float
    ) -> list[HealthAction]:
        """Exclude an executor alone."""
        expires_s = now + self.rules.timeout_s
        self.executors[executor_id] = ExcludedExecutor(host, expires_s)
        self.excluded_on_host.setdefault(host, {})[executor_id] = None
        self.next_expiry_s = min(self.next_expiry_s, expires_s)
        actions: list[HealthAction] = [Excluded(now, executor_id, host, failed_tasks)]
        if self.rules.kill:
            actions.append(
                RemoveExecutor(
                    executor_id,
                    self.rules.decommission,
                    f"executor {executor_id} is excluded and minispark.excludeOnFailure.killExcludedExecutors is set",
                )
            )
        return actions

    def exclude_host(self, host: str, excluded_executors: int, now: float) -> list[HealthAction]:
        """Exclude a host; the order to end its executors comes after that, so that none is started there anew."""
        expires_s = now + self.rules.timeout_s
        self.hosts[host] = expires_s
        self.next_expiry_s = min(self.next_expiry_s, expires_s)
        actions: list[HealthAction] = [Excluded(now, ExecutorId(""), host, excluded_executors)]
        if self.rules.kill:
            actions.append(
                RemoveExecutorsOnHost(
                    host,
                    self.rules.decommission,
                    f"host {host} is excluded and minispark.excludeOnFailure.killExcludedExecutors is set",
                )
            )
        return actions

    def fetch_failed(self, executor_id: ExecutorId, host: str, now: float) -> list[HealthAction]:
        """Take that a map output could not be read; with the rule on, one time is enough.

        The stage is tried again after a single such failure, so there may be no second one to wait for.
        """
        if not self.rules.fetch_failure:
            return []
        if self.rules.shuffle_service:
            return [] if host in self.hosts else self.exclude_host(host, 1, now)
        return [] if executor_id in self.executors else self.exclude_executor(executor_id, host, 1, now)

    def lift_expired(self, now: float) -> list[Unexcluded]:
        """Forget the exclusions whose time is over."""
        if now <= self.next_expiry_s:
            return []
        events = []
        for executor_id in [name for name, status in self.executors.items() if status.expires_s < now]:
            host = self.executors.pop(executor_id).host
            neighbours = self.excluded_on_host[host]
            del neighbours[executor_id]
            if not neighbours:
                del self.excluded_on_host[host]
            events.append(Unexcluded(now, executor_id, host))
        for host in [name for name, expires_s in self.hosts.items() if expires_s < now]:
            del self.hosts[host]
            events.append(Unexcluded(now, ExecutorId(""), host))
        self.next_expiry_s = min(
            [status.expires_s for status in self.executors.values()] + list(self.hosts.values()), default=math.inf
        )
        return events

    def executor_removed(self, executor_id: ExecutorId) -> None:
        """Forget the failures of an executor that is gone; its exclusion stays, and counts for its host."""
        self.failures.pop(executor_id, None)

    def check(self) -> None:
        """Assert what always holds."""
        for executor_id, status in self.executors.items():
            assert executor_id in self.excluded_on_host[status.host], f"{executor_id} is not counted on its host"
        counted = sum(len(neighbours) for neighbours in self.excluded_on_host.values())
        assert counted == len(self.executors), "an executor is counted on a host and not excluded"
        first = min(
            [status.expires_s for status in self.executors.values()] + list(self.hosts.values()), default=math.inf
        )
        assert self.next_expiry_s == first, "the next expiry is another one"
