"""What an executor does when the memory of its runners and of persisted partitions comes to an end.

`executor.memory_guard` says from time to time who holds what, and does what it is told. First persisted partitions
go, and runners at rest that hold much more than is known of; then no further attempts begin; then the attempt that
holds most fails. Accounted bytes decide what spills (`shuffle.task_memory`); this watches what is really held.
"""

from collections.abc import Sequence
from typing import Final

from minispark.ids import TaskId
from minispark.record import Record, record

__all__ = ["Holding", "Relief", "relieve"]

EVICT_ABOVE: Final = 0.85  # of the limit
PAUSE_ABOVE: Final = 0.95
FAIL_ABOVE: Final = 1.1  # as Spark's overhead: a tenth more than was asked for
BARE_BYTES: Final = 48 << 20  # what a runner holds that has done nothing yet, and a little
LARGE_BYTES: Final = 64 << 20  # less than that helps nobody
SPARE_BYTES: Final = 96 << 20  # what must be left of the machine, or of its control groups


@record
class Holding(Record):
    """What a runner holds.

    Attributes:
        slot: whose runner it is.
        task_id: what runs there, if anything.
        private_bytes: what its process holds for itself.
        live_bytes: how much of that are objects of persisted partitions, as far as known.
    """

    slot: int
    task_id: TaskId | None
    private_bytes: int
    live_bytes: int = 0

    @property
    def own_bytes(self) -> int:
        """What it holds beside what every runner does."""
        return max(0, self.private_bytes - BARE_BYTES)


@record
class Relief(Record):
    """What is to be done.

    Attributes:
        evict_bytes: how much of persisted partitions is to leave the memory, as far as it may.
        replace: slots at rest whose runners are to be replaced.
        pauses: whether no further attempts begin for now.
        fail: the attempt that is to fail.
        held_bytes: what all hold together.
    """

    evict_bytes: int = 0
    replace: tuple[int, ...] = ()
    pauses: bool = False
    fail: TaskId | None = None
    held_bytes: int = 0


def relieve(holdings: Sequence[Holding], stored_bytes: int, limit_bytes: int, spare_bytes: int) -> Relief:
    """Return what is to be done.

    Args:
        holdings: of all runners.
        stored_bytes: what files of persisted partitions take in memory.
        limit_bytes: what all may hold together.
        spare_bytes: what the machine, or a control group around this process, still has.
    """
    held = stored_bytes + sum(each.own_bytes for each in holdings)
    is_scarce = spare_bytes < SPARE_BYTES
    if held <= EVICT_ABOVE * limit_bytes and not is_scarce:
        return Relief(held_bytes=held)
    evict = max(held - int(EVICT_ABOVE * limit_bytes), SPARE_BYTES - spare_bytes)
    idle = [each for each in holdings if each.task_id is None]
    replace = tuple(each.slot for each in idle if each.own_bytes > max(LARGE_BYTES, 3 * each.live_bytes))
    pauses = is_scarce or held > PAUSE_ABOVE * limit_bytes
    fail = None
    if (held > FAIL_ABOVE * limit_bytes or spare_bytes < SPARE_BYTES // 2) and not replace:
        running = [each for each in holdings if each.task_id is not None]
        largest = max(running, key=lambda each: each.own_bytes, default=None)
        if largest is not None and largest.own_bytes > max(LARGE_BYTES, largest.live_bytes):
            fail = largest.task_id
    return Relief(evict, replace, pauses, fail, held)
