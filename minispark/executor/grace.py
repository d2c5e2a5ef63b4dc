"""How long a killed attempt may go on: what a pool of processes or threads does about one that does not stop."""

from typing import NamedTuple, Self

from minispark.conf import SparkConf

__all__ = ["Grace"]


class Grace(NamedTuple):
    """How long a killed attempt may go on before its runner is replaced, and whether it ever is.

    Source: Spark's task reaper, which kills the executor instead.
    """

    seconds: float
    ends: bool = True

    @classmethod
    def of(cls, conf: SparkConf) -> Self:
        """Return the grace that an application gives its tasks."""
        timeout_s = conf.task_reaper_kill_timeout
        if timeout_s is None or timeout_s < 0:
            return cls(conf.executor_kill_grace, timeout_s is None)
        return cls(timeout_s)
