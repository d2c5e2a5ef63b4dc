"""Lets an executor go in order: what runs ends, blocks move to other executors, then the process may end.

Made and told by `Executor`; which step is due is decided in `logic.decommissioning`. Must not know what blocks are:
whoever keeps some gives a `BlockMigrator`.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from minispark.executor.logic.decommissioning import Decommissioning, Step
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World

__all__ = ["LINGER_S", "BlockMigrator", "Decommissioner"]

LINGER_S: Final = 1.0  # as Spark: tasks may be on their way that were launched before the driver knew

logger = logging.getLogger(__name__)


class BlockMigrator(Protocol):
    """Hands over one kind of blocks: map outputs, cached partitions."""

    async def migrate(self) -> int:
        """Move the blocks that are here now to other executors; return how many had to stay.

        It may be called again, after more attempts have ended: then only new blocks are moved. Failures of single
        blocks are tried again within it (`minispark.storage.decommission.maxReplicationFailuresPerBlock`). What it
        raises is logged: the executor goes anyway.
        """


class Decommissioner:
    """What an executor does when it was told to go.

    Args:
        migrators: hand over what is here.
        world: timers.
        scope: owns the rounds.
        idle: tells whether no attempt is here.
        leave: ends the process; called once, with the reason of the order.

    Attributes:
        begun: whether the executor was told to go.
    """

    def __init__(
        self,
        migrators: Sequence[BlockMigrator],
        world: World,
        scope: TaskScope,
        *,
        idle: Callable[[], bool],
        leave: Callable[[str], object],
    ) -> None:
        self.migrators = tuple(migrators)
        self.world = world
        self.scope = scope
        self.idle = idle
        self.leave = leave
        self.reason = ""
        self.begun = False
        self.state = Decommissioning(bool(self.migrators))

    def begin(self, reason: str) -> None:
        """Go when all is done; a second order changes nothing."""
        if self.begun:
            return
        logger.info("decommissioned: %s", reason)
        self.begun = True
        self.reason = reason
        self.world.call_later(LINGER_S, self.lingered)
        self.do(self.state.begin(self.idle()))

    def attempt_came(self) -> None:
        """Note that an attempt was launched here nevertheless."""
        self.state.attempt_came()

    def attempt_ended(self) -> None:
        """Note that an attempt has ended."""
        self.do(self.state.attempt_ended(self.idle()))

    def lingered(self) -> None:
        """Note that everybody has had time to hear of it."""
        self.do(self.state.lingered())

    def do(self, step: Step | None) -> None:
        """Take the next step, if one is due; none is any more in an executor that ends otherwise."""
        if self.scope.closed:
            return
        if step is Step.MIGRATE:
            self.scope.spawn(self.migrate(), name="hand over blocks")
        elif step is Step.LEAVE:
            self.leave(self.reason)

    async def migrate(self) -> None:
        """Hand over what is here, one kind after the other."""
        for migrator in self.migrators:
            try:
                stayed = await migrator.migrate()
            except Exception:  # whatever becomes of the blocks, the executor must go
                logger.exception("%s failed; its blocks are lost with this executor", type(migrator).__name__)
            else:
                logger.info("%s is done; %d blocks had to stay", type(migrator).__name__, stayed)
        self.do(self.state.migrated())
