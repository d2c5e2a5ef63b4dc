"""KnownMapOutputs: the map statuses that a runner's tasks have read, by shuffle. Made and called by the task runner.

Small ones come with the executor's answer, large ones as a broadcast (see `shuffle.tracker`).
Must not know what is in them. Source: Spark's MapOutputTrackerWorker.
"""

from collections.abc import Callable
from typing import Final

from minispark.errors import MiniSparkError
from minispark.ids import BroadcastId, ShuffleId
from minispark.messages.runner import MapOutputs, NeedMapOutputs, RunnerReply, RunnerRequest
from minispark.rpc.message import Attachment

__all__ = ["KnownMapOutputs"]

MAX_SHUFFLES: Final = 16
UNKNOWN: Final = b""
"""What an unknown shuffle's statuses are: its reader fails as one whose metadata cannot be fetched."""


class KnownMapOutputs:
    """The packed map statuses that are here.

    Args:
        ask: asks the executor and waits.
        large: returns the content of a broadcast; raises MiniSparkError if there is none.
    """

    def __init__(
        self, ask: Callable[[RunnerRequest], RunnerReply], large: Callable[[BroadcastId], Attachment]
    ) -> None:
        self.ask = ask
        self.large = large
        self.by_shuffle: dict[ShuffleId, tuple[int, bytes]] = {}

    def of(self, shuffle_id: ShuffleId, epoch: int) -> bytes:
        """Return the packed map statuses of a shuffle, as of an epoch or later.

        The same object as long as they are the same: its hash is computed once.

        Raises:
            MiniSparkError: the executor cannot say.
        """
        known = self.by_shuffle.get(shuffle_id)
        if known is not None and known[0] >= epoch:
            return known[1]
        answer = self.ask_for(shuffle_id, epoch)
        packed = self.content(answer)
        if packed is None:
            # The broadcast was replaced since the executor heard of it. Only the driver can answer for a later epoch.
            answer = self.ask_for(shuffle_id, answer.epoch + 1)
            packed = self.content(answer)
        if packed is None:
            return UNKNOWN
        self.by_shuffle.pop(shuffle_id, None)
        if len(self.by_shuffle) >= MAX_SHUFFLES:
            self.by_shuffle.pop(next(iter(self.by_shuffle)))
        self.by_shuffle[shuffle_id] = answer.epoch, packed
        return packed

    def ask_for(self, shuffle_id: ShuffleId, epoch: int) -> MapOutputs:
        """Ask for map statuses."""
        answer = self.ask(NeedMapOutputs(shuffle_id, epoch))
        assert isinstance(answer, MapOutputs)
        return answer

    def content(self, answer: MapOutputs) -> bytes | None:
        """Return the statuses of an answer; None if their broadcast is gone."""
        if answer.broadcast_id is None:
            return bytes(answer.data)
        try:
            return bytes(self.large(answer.broadcast_id))
        except MiniSparkError:
            return None
