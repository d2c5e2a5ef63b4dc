"""Binaries of the driver: what stages run, by id; and BinaryServer, the endpoint from which executors get them.

The server hands out bytes that others pickled; it never looks into them.
"""

from collections.abc import Callable
from itertools import count
from typing import Final, Protocol, assert_never

from minispark.errors import MiniSparkError
from minispark.ids import BinaryId, BroadcastId
from minispark.messages.cluster import BinaryContent, FetchBinary
from minispark.messages.runner import Binary, NeedClass
from minispark.rpc.endpoint import CallContext, RpcEndpoint

__all__ = ["LARGE_BINARY_BYTES", "BinaryServer", "BinaryTable", "LargeBinaries", "ToBinaryServer"]

ToBinaryServer = FetchBinary | NeedClass

LARGE_BINARY_BYTES: Final = 1 << 20  # from here on a binary is mapped, and fetched in pieces, like a broadcast


class LargeBinaries(Protocol):
    """Who hands out binaries that are too large to be sent to each executor; `distribution.Distribution`."""

    def broadcast_binary(self, data: bytes) -> BroadcastId:
        """Write a binary where executors get it."""

    def drop_broadcast(self, broadcast_id: BroadcastId) -> None:
        """Remove it everywhere; on any thread."""


class BinaryTable:
    """Id → bytes, or which broadcast has them.

    Ids are never used again, so whoever holds a binary's bytes holds the right ones.

    Removing is one step of a dict, so the garbage collector's finalizers may do that on any thread.

    Args:
        large: loads what hands out large binaries; without it, they are sent like others.
    """

    def __init__(self, large: Callable[[], LargeBinaries] | None = None) -> None:
        self.binaries: dict[BinaryId, BinaryContent] = {}
        self.numbers = count()
        self.large = large

    def add(self, data: bytes) -> BinaryId:
        """Keep a binary and return its id.

        Raises:
            MiniSparkError: it is large, and there is no room for it.
        """
        binary_id = BinaryId(next(self.numbers))
        if self.large is not None and len(data) >= LARGE_BINARY_BYTES:
            content = BinaryContent(binary_id, b"", self.large().broadcast_binary(data))
        else:
            content = BinaryContent(binary_id, data)
        self.binaries[binary_id] = content
        return binary_id

    def get(self, binary_id: BinaryId) -> BinaryContent | None:
        """Return a binary; None if it was removed."""
        return self.binaries.get(binary_id)

    def remove(self, binary_id: BinaryId) -> None:
        """Let a binary go; one that is not there is no error."""
        content = self.binaries.pop(binary_id, None)
        if content is not None and content.broadcast_id is not None and self.large is not None:
            self.large().drop_broadcast(content.broadcast_id)

    def __len__(self) -> int:
        return len(self.binaries)

    def assert_empty(self) -> None:
        """Assert that every binary was removed."""
        assert not self.binaries, f"binaries left: {list(self.binaries)}"


class BinaryServer(RpcEndpoint):
    """Sends binaries, and the classes of the driver's `__main__`, to executors that ask for them.

    Args:
        binaries: the driver's table.
        class_content: makes the answer to a request for a class; never raises.
    """

    def __init__(self, binaries: BinaryTable, class_content: Callable[[str], bytes]) -> None:
        self.binaries = binaries
        self.class_content = class_content

    def receive(self, message: ToBinaryServer, context: CallContext) -> None:
        """Answer one request."""
        match message:
            case FetchBinary(binary_id):
                content = self.binaries.get(binary_id)
                if content is None:
                    context.send_failure(MiniSparkError(f"binary {binary_id} is gone: what needed it has ended"))
                else:
                    context.reply(content)
            case NeedClass(qualified_name):
                context.reply(Binary(self.class_content(qualified_name)))
            case _:
                assert_never(message)
