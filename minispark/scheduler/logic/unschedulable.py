"""Task sets with a task that may run on none of the executors there are, and how long they wait for a new one.

The TaskScheduler asks after a set got none of the slots that were offered. Nothing here is touched unless tasks have
failed and exclusion is on. Source: the part of Spark's TaskSchedulerImpl about unschedulable task sets, and
TaskSetManager.getCompletelyExcludedTaskIfAny.
"""

from collections.abc import Iterable, Mapping
from enum import Enum

from minispark.ids import ExecutorId, StageId
from minispark.record import Record, record
from minispark.scheduler.logic.exclusion import TaskSetExclusion
from minispark.scheduler.logic.health import HealthTracker

__all__ = ["Remedy", "SetKey", "UnschedulableSets", "Verdict", "is_excluded_everywhere"]

SetKey = tuple[StageId, int]
"""A stage and the number of its attempt."""


def is_excluded_everywhere(
    index: int,
    executors_of_host: Mapping[str, Iterable[ExecutorId]],
    exclusion: TaskSetExclusion,
    health: HealthTracker | None,
) -> bool:
    """Tell whether a task may run on no executor; without any executor it waits for the first one."""
    is_anywhere = False
    for host, executors in executors_of_host.items():
        for executor_id in executors:
            is_anywhere = True
            if not (
                exclusion.refuses(executor_id, host)
                or exclusion.refuses_task(index, executor_id, host)
                or (health is not None and health.refuses(executor_id, host))
            ):
                return False
    return is_anywhere


class Remedy(Enum):
    """What is done for a set that cannot go on."""

    WAIT = "it waits already"
    REPLACE = "an idle executor is ended so that another one may come in its place"
    ASK_FOR_MORE = "dynamic allocation is asked for executors"
    GIVE_UP = "nothing can come of waiting"


@record
class Verdict(Record):
    """The remedy; `executor_id` is the one to replace; `starts_timer` asks to look again after the timeout."""

    remedy: Remedy
    executor_id: ExecutorId | None = None

    @property
    def starts_timer(self) -> bool:
        """Whether `expired` is to be asked after the timeout."""
        return self.remedy in (Remedy.REPLACE, Remedy.ASK_FOR_MORE)


class UnschedulableSets:
    """The sets that wait, and until when.

    Args:
        timeout_s: how long a set waits.
        dynamic_allocation: whether somebody adds executors on demand.
    """

    def __init__(self, timeout_s: float, *, dynamic_allocation: bool = False) -> None:
        self.timeout_s = timeout_s
        self.dynamic_allocation = dynamic_allocation
        self.expires_s: dict[SetKey, float] = {}

    def found(self, key: SetKey, idle_executor: ExecutorId | None, now: float) -> Verdict:
        """Decide about a set of which a task is excluded everywhere.

        Args:
            key: of the set.
            idle_executor: one that runs nothing, if any; it is excluded, or the task could run there.
            now: seconds.
        """
        if (
            key in self.expires_s
        ):  # Spark gives the set up when the last idle executor is gone; its successor may come
            return Verdict(Remedy.WAIT)
        if idle_executor is not None:
            verdict = Verdict(Remedy.REPLACE, idle_executor)
        elif self.dynamic_allocation:
            verdict = Verdict(Remedy.ASK_FOR_MORE)
        else:
            return Verdict(Remedy.GIVE_UP)
        self.expires_s[key] = now + self.timeout_s
        return verdict

    def launched(self) -> list[SetKey]:
        """Note that some set launched a task: while any makes progress, none is given up.

        Returns:
            The sets that waited.
        """
        waiting = list(self.expires_s)
        self.expires_s.clear()
        return waiting

    def has_expired(self, key: SetKey, now: float) -> bool:
        """Tell whether a set has waited long enough; it is forgotten then."""
        expires_s = self.expires_s.get(key)
        if expires_s is None or expires_s > now:
            return False
        del self.expires_s[key]
        return True

    def forget(self, key: SetKey) -> None:
        """Let go of a set that has ended."""
        self.expires_s.pop(key, None)
