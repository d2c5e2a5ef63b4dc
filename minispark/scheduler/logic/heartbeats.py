"""When each executor was heard of last, and which have been silent too long. Source: Spark's HeartbeatReceiver."""

from minispark.ids import ExecutorId
from minispark.record import Record, record

__all__ = ["Expired", "Heartbeats"]


class LastSeen:
    """Where an executor is, and when it was heard of."""

    __slots__ = ("at", "host")

    def __init__(self, host: str, at: float) -> None:
        self.host = host
        self.at = at


@record
class Expired(Record):
    """An executor that has been silent too long; it is known no more."""

    executor_id: ExecutorId
    host: str
    silence_s: float


class Heartbeats:
    """All executors of an application.

    Args:
        timeout_s: silence after which an executor is taken for dead.

    Attributes:
        ready: whether the task scheduler can hear of executors; until then all are asked to register again.
        stopped: whether the application ends: nobody registers any more, nobody expires.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.ready = False
        self.stopped = False
        self.last_seen: dict[ExecutorId, LastSeen] = {}

    def added(self, executor_id: ExecutorId, host: str, now: float) -> None:
        """Know an executor from now on."""
        self.last_seen[executor_id] = LastSeen(host, now)

    def removed(self, executor_id: ExecutorId) -> None:
        """Know an executor no more; a heartbeat of it that is under way has it register again."""
        self.last_seen.pop(executor_id, None)

    def heard(self, executor_id: ExecutorId, now: float) -> bool:
        """Take a heartbeat; tell whether its executor is known and its tasks' progress is of use."""
        seen = self.last_seen.get(executor_id)
        if seen is None or not self.ready:
            return False
        seen.at = now
        return True

    def expire(self, now: float) -> list[Expired]:
        """Return the executors that have been silent too long, and forget them."""
        if self.stopped:
            return []
        expired = [
            Expired(executor_id, seen.host, now - seen.at)
            for executor_id, seen in self.last_seen.items()
            if now - seen.at > self.timeout_s
        ]
        for executor in expired:
            del self.last_seen[executor.executor_id]
        return expired
