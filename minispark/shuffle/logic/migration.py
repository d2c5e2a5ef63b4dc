"""Which map outputs, or persisted partitions, of an executor that goes are handed to whom, and when one is given up.

`shuffle.migrator` and `executor.partition_migrator` perform it; whatever moves is an output here. They are taken in
the order in which they were found, peers in turn. A transfer that fails is tried again, at another peer if there is
one, up to a limit; a peer that is silent is asked no more, nor is one that goes itself, which counts for no failure.
What is gone by the time it is sent needs no new home. Source: Spark's BlockManagerDecommissioner.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from minispark.ids import ExecutorId, ShuffleId, TaskId
from minispark.messages.task import BlockManagerId

__all__ = ["Migration", "Move", "Output"]

Output = tuple[ShuffleId, TaskId]
What = TypeVar("What")


@dataclass(frozen=True, slots=True)
class Move(Generic[What]):
    """One transfer: that output, to that executor."""

    output: What
    peer: BlockManagerId


class Migration(Generic[What]):
    """What moves of one executor that goes.

    Args:
        max_failures: transfers of one output that may fail before it stays.

    Attributes:
        moved: outputs that have a new home.
        stayed: outputs that were given up.
    """

    def __init__(self, max_failures: int) -> None:
        self.max_failures = max_failures
        self.waiting: deque[What] = deque()
        self.failures: dict[What, int] = {}
        self.moved: dict[What, None] = {}
        self.stayed: dict[What, None] = {}
        self.gone: dict[What, None] = {}
        self.peers: deque[BlockManagerId] = deque()
        self.avoided: dict[ExecutorId, None] = {}

    def found(self, outputs: Iterable[What]) -> int:
        """Take the outputs that are here; return how many are new: what was dealt with does not come again."""
        before = len(self.failures)
        for output in outputs:
            if output not in self.failures:
                self.failures[output] = 0
                self.waiting.append(output)
        return len(self.failures) - before

    def use(self, peers: Iterable[BlockManagerId]) -> None:
        """Take the executors that may be given outputs from now on; those to be avoided are left out."""
        self.peers = deque(peer for peer in peers if peer.executor_id not in self.avoided)

    def next(self) -> Move[What] | None:
        """Return the next transfer; None if there is nothing to move, or nobody to take it: then what waits stays."""
        if not self.waiting:
            return None
        if not self.peers:
            self.stayed.update(dict.fromkeys(self.waiting))
            self.waiting.clear()
            return None
        peer = self.peers[0]
        self.peers.rotate(-1)
        return Move(self.waiting.popleft(), peer)

    def done(self, move: Move[What]) -> None:
        """Take note that an output has a new home."""
        self.moved[move.output] = None

    def missing(self, move: Move[What]) -> None:
        """Take note that an output's files were gone: nobody needs it any more."""
        self.gone[move.output] = None

    def peer_leaves(self, move: Move[What]) -> None:
        """Take note that the peer goes too: the output waits for another one."""
        self.avoid(move.peer)
        self.waiting.append(move.output)

    def avoid(self, peer: BlockManagerId) -> None:
        """Give a peer nothing more: it goes, or does not answer."""
        self.avoided[peer.executor_id] = None
        self.use(list(self.peers))

    def failed(self, move: Move[What]) -> None:
        """Take note that a transfer failed: the output is tried again, or stays."""
        self.failures[move.output] += 1
        if self.failures[move.output] < self.max_failures:
            self.waiting.append(move.output)
        else:
            self.stayed[move.output] = None
