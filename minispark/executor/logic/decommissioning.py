"""Decommissioning: when an executor that was told to go may hand over its blocks, and when it may leave.

`executor.Decommissioner` calls it. Blocks are handed over in rounds: one at the beginning, and one more when attempts
have ended since the last one began, because they may have left blocks. The executor leaves when no attempt is left,
nothing is to be handed over, and those who were about to give it a task have had a moment to hear of it.
Source: the shutdown thread of Spark's CoarseGrainedExecutorBackend.
"""

import enum

__all__ = ["Decommissioning", "Step"]


class Step(enum.Enum):
    """What is to be done next."""

    MIGRATE = "hand over the blocks that are here now"
    LEAVE = "end the process"


class Decommissioning:
    """The state of an executor that goes.

    Args:
        migrates: whether blocks are handed over.

    Attributes:
        begun: whether the executor was told to go.
    """

    def __init__(self, migrates: bool) -> None:
        self.migrates = migrates
        self.begun = False
        self.idle = True
        self.fresh = True  # blocks may be here that no round has seen
        self.migrating = False
        self.lingers = True
        self.left = False

    def begin(self, idle: bool) -> Step | None:
        """Take the order to go; a second one changes nothing.

        Args:
            idle: whether no attempt is here.
        """
        if self.begun:
            return None
        self.begun = True
        self.idle = idle
        return self.next()

    def attempt_ended(self, idle: bool) -> Step | None:
        """Note that an attempt ended, and whether it was the last one here."""
        self.idle = idle
        self.fresh = True
        return self.next()

    def attempt_came(self) -> None:
        """Note that an attempt came after all: whoever launched it had not heard yet."""
        self.idle = False

    def migrated(self) -> Step | None:
        """Note that a round is over."""
        self.migrating = False
        return self.next()

    def lingered(self) -> Step | None:
        """Note that everybody has had time to hear of it."""
        self.lingers = False
        return self.next()

    def next(self) -> Step | None:
        """Return what is to be done now, once."""
        self.check()
        if not self.begun or self.left or self.migrating:
            return None
        if self.migrates and self.fresh:
            self.fresh = False
            self.migrating = True
            return Step.MIGRATE
        if self.idle and not self.lingers:
            self.left = True
            return Step.LEAVE
        return None

    def check(self) -> None:
        """Assert the invariants."""
        assert self.begun or not (self.migrating or self.left), "nothing happens before the order"
        assert self.migrates or not self.migrating, "blocks are handed over only where that is wanted"
        assert not (self.left and (self.migrating or self.lingers)), "who left has nothing more to do"
