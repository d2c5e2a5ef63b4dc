"""How near its data a task runs, and how long a task set waits for a nearer place: delay scheduling.

Used by `task_set.TaskSet`. The time comes as an argument, in seconds of a clock that never goes back.
Source: Spark's TaskLocality and the delay scheduling of its TaskSetManager.
"""

import enum
from collections.abc import Sequence

from minispark.record import Record, record

__all__ = ["DelayTimer", "Locality", "LocalityWaits"]


class Locality(enum.IntEnum):
    """Where a task runs, the nearest first; NO_PREF is for tasks without preferences."""

    PROCESS = 0
    NODE = 1
    NO_PREF = 2
    RACK = 3
    ANY = 4


PROCESS, NODE, NO_PREF, RACK, ANY = Locality


@record
class LocalityWaits(Record):
    """How many seconds a set waits at a level before it takes a place one level farther.

    Attributes:
        process_s: for the executor that holds the data.
        node_s: for the host.
        rack_s: for the rack.
        legacy_reset: every launch starts the wait anew, and at the level of that launch.
    """

    process_s: float = 3.0
    node_s: float = 3.0
    rack_s: float = 3.0
    legacy_reset: bool = False

    def at(self, level: Locality) -> float:
        """Return the wait at a level; tasks without preferences, and those that may run anywhere, never wait."""
        return {PROCESS: self.process_s, NODE: self.node_s, RACK: self.rack_s}.get(level, 0.0)


class DelayTimer:
    """Which level a task set has come to by waiting.

    Args:
        waits: how long at each level.
        now: the time of its first task.

    Attributes:
        levels: those that tasks want and live executors can give; ANY is the last one, always.
        index: of the level the set has come to.
        last_reset_s: since when it waits at that level.
    """

    __slots__ = ("index", "last_reset_s", "levels", "waits", "waits_s")

    def __init__(self, waits: LocalityWaits, now: float = 0.0) -> None:
        self.waits = waits
        self.levels: tuple[Locality, ...] = (ANY,)
        self.waits_s: tuple[float, ...] = (0.0,)
        self.index = 0
        self.last_reset_s = now

    def allowed(self, now: float, waiting: Sequence[int]) -> Locality:
        """Return the farthest level at which a task may be launched now.

        Args:
            now: the time.
            waiting: how many tasks wait that want each level. A level that nobody wants is passed at once.
        """
        levels = self.levels
        last = len(levels) - 1
        while self.index < last:
            if not waiting[levels[self.index]]:
                self.last_reset_s = now
            elif now - self.last_reset_s >= self.waits_s[self.index]:
                # Not `now`: who was not asked for a long time has waited for several levels.
                self.last_reset_s += self.waits_s[self.index]
            else:
                break
            self.index += 1
        return levels[self.index]

    @property
    def level(self) -> Locality:
        """The level the set has come to."""
        return self.levels[self.index]

    @property
    def expires_s(self) -> float:
        """When the wait at this level ends."""
        return self.last_reset_s + self.waits_s[self.index]

    def reset(self, now: float, level: Locality) -> None:
        """Start the wait anew, at the level of a launch."""
        self.last_reset_s = now
        self.index = self.first_at(level)

    def first_at(self, level: Locality) -> int:
        """Return the index of the first valid level that is this one or farther."""
        return next(index for index, valid in enumerate(self.levels) if valid >= level)

    def change_levels(self, levels: tuple[Locality, ...]) -> None:
        """Take what levels are valid now; the set stays at its level, or goes to a nearer one that appeared."""
        if levels == self.levels:
            return
        before, previous = self.levels, self.index
        self.levels = levels
        self.waits_s = tuple(self.waits.at(level) for level in levels)
        self.index = self.first_at(before[previous])
        if self.index > previous:
            # Nearer levels appeared: the set begins with the nearest of them instead of never trying it.
            self.index = self.first_at(next(level for level in levels if level not in before))
