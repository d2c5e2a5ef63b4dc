"""How many executors an application has: asked for, killed and decommissioned by the program itself.

A base of SparkContext. Programs rarely need it: the settings say how many executors are wanted, and dynamic
allocation follows the load. Local mode has no executors to get or to end.
Source: the developer API of Spark's SparkContext.
"""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from minispark.errors import ConfigurationError
from minispark.ids import ExecutorId

if TYPE_CHECKING:
    from minispark.driver import Driver
    from minispark.scheduler.cluster_backend import CoarseGrainedSchedulerBackend

__all__ = ["ExecutorControl"]

logger = logging.getLogger(__name__)


class ExecutorControl:
    """Getting executors of a cluster, and giving them back."""

    driver: "Driver"

    def check_on_loop(self) -> None:
        """Raise unless the context is active and this is its loop's thread."""
        raise NotImplementedError

    def executor_ids(self) -> list[str]:
        """Return the executors that are there and were not told to go; none in local mode."""
        backend = self.cluster_backend()
        return [] if backend is None else list(backend.executor_ids())

    async def request_total_executors(self, total: int) -> bool:
        """Want so many executors in all; tell whether the cluster took it. In local mode it is False.

        Dynamic allocation goes on from its own number, and may ask for another one soon.

        Raises:
            ConfigurationError: the number is negative.
        """
        check_number(total)
        backend = self.cluster_backend()
        return backend is not None and await backend.request_total_executors(total)

    async def request_executors(self, count: int) -> bool:
        """Want so many executors more than now; tell whether the cluster took it. In local mode it is False.

        Raises:
            ConfigurationError: the number is negative.
        """
        check_number(count)
        backend = self.cluster_backend()
        return backend is not None and await backend.request_executors(count)

    async def kill_executors(self, executor_ids: Iterable[str]) -> list[str]:
        """End executors with what runs on them, and want as many fewer; return those that are ended for it.

        Tasks that are lost so run elsewhere, and count for no failure.

        Raises:
            ConfigurationError: there is dynamic allocation, which decides that itself.
        """
        backend = self.cluster_backend_to_shrink("kill_executors")
        if backend is None:
            return []
        return list(await backend.kill_executors(known(executor_ids), force=True))

    async def decommission_executors(
        self, executor_ids: Iterable[str], reason: str = "the program wants it"
    ) -> list[str]:
        """Have executors finish what runs, hand over their blocks and go; return those that were told so.

        As many fewer are wanted. `minispark.executor.decommission.forceKillTimeout` bounds how long one may take.

        Raises:
            ConfigurationError: there is dynamic allocation, which decides that itself.
        """
        backend = self.cluster_backend_to_shrink("decommission_executors")
        return [] if backend is None else list(await backend.decommission_executors(known(executor_ids), reason))

    def cluster_backend_to_shrink(self, what: str) -> "CoarseGrainedSchedulerBackend | None":
        """Return the backend, if the program may end executors.

        Raises:
            ConfigurationError: dynamic allocation decides that.
        """
        backend = self.cluster_backend()
        if self.driver.allocation is not None:
            raise ConfigurationError(
                f"{what} cannot be used with minispark.dynamicAllocation.enabled, which ends executors that are idle"
            )
        return backend

    def cluster_backend(self) -> "CoarseGrainedSchedulerBackend | None":
        """Return the backend that has a cluster's executors; None in local mode, which is logged."""
        self.check_on_loop()
        backend = self.driver.mode.cluster_backend
        if backend is None:
            logger.warning("in local mode there are no executors to ask for, or to end")
        return backend


def known(executor_ids: Iterable[str]) -> list[ExecutorId]:
    """Return executors' names as such.

    Raises:
        ConfigurationError: it is one name, of which each letter would be taken for a name.
    """
    if isinstance(executor_ids, str):
        raise ConfigurationError(f"a list of executors is needed, not {executor_ids!r}")
    return [ExecutorId(each) for each in executor_ids]


def check_number(number: int) -> None:
    """Refuse a negative number.

    Raises:
        ConfigurationError: it is one.
    """
    if number < 0:
        raise ConfigurationError(f"{number} executors cannot be asked for")
