"""MemoryGuard: watches what runners hold in memory while tasks run, so that neither executor nor host dies of it.

`Executor` starts it with an attempt; it stops by itself when none is left. What is to be done is decided in
`logic.memory_pressure`. It reads `/proc` from outside: tasks pay nothing for it. Source: what Spark leaves to the
JVM's heap limit and to whoever runs its containers.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from minispark.errors import MemoryLimitError
from minispark.executor.logic.memory_pressure import Holding, relieve
from minispark.ids import RddId, TaskId
from minispark.rpc.world import World

__all__ = ["GuardedExecutor", "MemoryGuard", "StoredPartitions"]

INTERVAL_S: Final = 0.1
MIB: Final = 1 << 20

logger = logging.getLogger(__name__)


class StoredPartitions(Protocol):
    """The persisted partitions of an executor."""

    def balance(self) -> None:
        """Divide the memory anew between them and what tasks hold for their work."""

    def stored_bytes(self) -> int:
        """Return what their files take in memory."""

    def live_bytes(self, slot: int) -> int:
        """Return what their objects take in a slot's runner, about."""

    def evict(self, size_bytes: int) -> None:
        """Have so much leave the memory, as far as it may."""

    def writes(self, task_id: TaskId) -> list[RddId]:
        """Return of which RDDs an attempt computes partitions that are to be kept."""


class GuardedExecutor(Protocol):
    """What the guard knows of its executor, and has it do."""

    def has_attempts(self) -> bool:
        """Tell whether there are any, also such as are prepared or wait for a runner."""

    def runners(self) -> Iterable[tuple[int, TaskId | None, int]]:
        """Return slots, what runs in each, and the bytes its runner holds for itself, as far as that is known."""

    def pause(self, pauses: bool) -> None:
        """Begin no further attempts, or go on."""

    def replace_runner(self, slot: int) -> None:
        """Replace the runner of a slot at rest."""

    def fail_attempt(self, task_id: TaskId, error: MemoryLimitError) -> None:
        """End an attempt with its runner, and report an error."""


class MemoryGuard:
    """The guard of one executor.

    Args:
        executor: what it watches.
        world: timers.
        available: returns what the machine and the control groups around this process still have, in bytes.
        limit_bytes: what all may hold; None: what is available when the first task runs.
        stored: the persisted partitions; None: there are none.
    """

    def __init__(
        self,
        executor: GuardedExecutor,
        world: World,
        available: Callable[[], int],
        limit_bytes: int | None = None,
        stored: StoredPartitions | None = None,
    ) -> None:
        self.executor = executor
        self.world = world
        self.available = available
        self.limit_bytes = limit_bytes
        self.stored = stored
        self.timer: asyncio.TimerHandle | None = None
        self.pauses = False

    def start(self) -> None:
        """Watch from now on; nothing happens if it does."""
        if self.timer is None:
            self.timer = self.world.call_later(INTERVAL_S, self.look)

    def stop(self) -> None:
        """Watch no more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def look(self) -> None:
        """See who holds what, do something about it, and look again while there are attempts."""
        self.timer = None
        stored = self.stored
        holdings = [
            Holding(slot, task_id, size, 0 if stored is None else stored.live_bytes(slot))
            for slot, task_id, size in self.executor.runners()
        ]
        if stored is not None:
            stored.balance()
        if holdings or self.pauses:  # without runners nothing is held, and what waits is to go on
            self.act_on(holdings)
        if self.pauses or self.executor.has_attempts():
            self.start()

    def act_on(self, holdings: Sequence[Holding]) -> None:
        """Do what is to be done about what runners hold."""
        stored = self.stored
        spare = self.available()
        if self.limit_bytes is None:
            self.limit_bytes = spare
        relief = relieve(holdings, 0 if stored is None else stored.stored_bytes(), self.limit_bytes, spare)
        if relief.evict_bytes and stored is not None:
            stored.evict(relief.evict_bytes)
        for slot in relief.replace:
            logger.info("the runner in slot %d holds much memory for nothing known, and is replaced", slot)
            self.executor.replace_runner(slot)
        if relief.fail is not None:
            self.executor.fail_attempt(relief.fail, self.error(relief.fail, relief.held_bytes))
        if relief.pauses != self.pauses:
            self.pauses = relief.pauses
            self.executor.pause(relief.pauses)

    def error(self, task_id: TaskId, held_bytes: int) -> MemoryLimitError:
        """Say why an attempt fails."""
        assert self.limit_bytes is not None
        rdds = [] if self.stored is None else self.stored.writes(task_id)
        doing = f", while it computed RDD {', '.join(map(str, rdds))}, which is persisted," if rdds else ""
        return MemoryLimitError(
            f"the attempt{doing} held the most of {held_bytes // MIB} MiB on an executor that has "
            f"{self.limit_bytes // MIB} MiB: use more partitions, or raise minispark.executor.memory"
        )
