"""A peer's line before it is up: idle → connecting → up → down; what is queued, and how much may be.

Messages sent while the connection is being made wait here; when it fails all of them are dropped, and the next send
makes a new outbox. Source: Spark's `Outbox`.
"""

import enum

from minispark.errors import OutboxOverflow, ProtocolError, RpcError
from minispark.rpc.logic.envelope import Packed

__all__ = ["Outbox", "OutboxState", "check_room", "over_size", "packed_size"]


class OutboxState(enum.Enum):
    """Where a peer's line is."""

    IDLE = "idle"
    CONNECTING = "connecting"
    UP = "up"
    DOWN = "down"


def packed_size(packed: Packed) -> int:
    """Return the bytes of a frame's content."""
    body, attachments = packed
    return len(body) + sum(map(len, attachments)) if attachments else len(body)


class Outbox:
    """The queue of one peer.

    Args:
        peer: shown in errors.
        limit_bytes: above this, what waits lets no more in.
    """

    def __init__(self, peer: str, limit_bytes: int) -> None:
        self.peer = peer
        self.limit_bytes = limit_bytes
        self.state = OutboxState.IDLE
        self.queue: list[Packed] = []
        self.size_bytes = 0

    def add(self, packed: Packed) -> bool:
        """Queue a message; return whether the connection must be made now.

        Raises:
            OutboxOverflow: too much waits already; the peer is to be given up.
            RpcError: the line is down.
        """
        if self.state is OutboxState.DOWN:
            raise RpcError(f"message dropped: the line to {self.peer} is down")
        check_room(self.peer, self.size_bytes, self.limit_bytes)
        self.queue.append(packed)
        self.size_bytes += packed_size(packed)
        if self.state is OutboxState.IDLE:
            self.state = OutboxState.CONNECTING
            return True
        return False

    def connected(self) -> list[Packed]:
        """Take note that the connection is up; return what waited for it."""
        assert self.state is OutboxState.CONNECTING, self.state
        self.state = OutboxState.UP
        waiting, self.queue, self.size_bytes = self.queue, [], 0
        return waiting

    def fail(self) -> int:
        """Take note that the connection failed; return how many messages that waited are dropped."""
        self.state = OutboxState.DOWN
        dropped, self.queue, self.size_bytes = len(self.queue), [], 0
        return dropped

    def check(self) -> None:
        """Assert the invariants."""
        assert not self.queue or self.state is OutboxState.CONNECTING
        assert self.size_bytes == sum(map(packed_size, self.queue))


def over_size(size_bytes: int, max_bytes: int) -> ProtocolError:
    """Return the error for a message that is larger than the peer would take."""
    return ProtocolError(f"a message of {size_bytes} bytes is over minispark.rpc.message.maxSize = {max_bytes}")


def check_room(peer: str, waiting_bytes: int, limit_bytes: int) -> None:
    """Raise OutboxOverflow if too much waits already; the next message's own size does not matter."""
    if waiting_bytes > limit_bytes:
        raise OutboxOverflow(
            f"{peer} does not read: {waiting_bytes} bytes wait for it, over "
            f"minispark.rpc.outbox.maxSize = {limit_bytes}"
        )
