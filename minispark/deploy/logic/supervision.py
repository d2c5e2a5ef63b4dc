"""Whether a driver that ended is started again, when, and how it ended for good: the decisions of `driver_runner`.

A supervised driver that fails is started again after a wait, twice as long each time; after a run that lasted, the
waits begin anew. Source: Spark's DriverRunner.
"""

from minispark.messages.deploy_values import DriverState

__all__ = ["FIRST_WAIT_S", "LASTING_RUN_S", "Supervision"]

FIRST_WAIT_S = 1.0
LASTING_RUN_S = 5.0


class Supervision:
    """The runs of one driver.

    Args:
        supervise: whether it is started again when it fails.

    Attributes:
        runs: how often it was started.
        killed: whether somebody asked for its end.
        error: what kept it from being started at all; empty if nothing did.
    """

    def __init__(self, *, supervise: bool) -> None:
        self.supervise = supervise
        self.runs = 0
        self.killed = False
        self.error = ""
        self.exit_code: int | None = None
        self.next_wait_s = FIRST_WAIT_S
        self.started_at = 0.0

    def starts(self, now: float) -> None:
        """Take note of a run that begins; `now` in seconds."""
        self.runs += 1
        self.started_at = now
        self.exit_code = None

    def ended(self, exit_code: int, now: float) -> float | None:
        """Take note of a run's end; return how many seconds to wait for the next one, or None if there is none."""
        self.exit_code = exit_code
        if exit_code == 0 or self.killed or not self.supervise:
            return None
        if now - self.started_at > LASTING_RUN_S:
            self.next_wait_s = FIRST_WAIT_S
        wait_s, self.next_wait_s = self.next_wait_s, self.next_wait_s * 2
        return wait_s

    def kill(self) -> None:
        """Take note that it is to end."""
        self.killed = True

    def failed(self, error: str) -> None:
        """Take note that it could not be started."""
        self.error = error

    def final_state(self) -> DriverState:
        """Return how it ended for good."""
        if self.error:
            return DriverState.ERROR
        if self.killed:
            return DriverState.KILLED
        return DriverState.FINISHED if self.exit_code == 0 else DriverState.FAILED
