"""Binaries of the driver: what stages run, by id; and BinaryServer, the endpoint from which executors get them.

The server hands out bytes that others pickled; it never looks into them.
"""

from collections.abc import Callable
from itertools import count
from typing import assert_never

from minispark.errors import MiniSparkError
from minispark.ids import BinaryId
from minispark.messages.cluster import BinaryContent, FetchBinary
from minispark.messages.runner import Binary, NeedClass
from minispark.rpc.endpoint import CallContext, RpcEndpoint

__all__ = ["BinaryServer", "BinaryTable", "ToBinaryServer"]

ToBinaryServer = FetchBinary | NeedClass


class BinaryTable:
    """Id → bytes. Ids are never used again, so whoever holds a binary's bytes holds the right ones.

    Every method is one step of a dict, so the garbage collector's finalizers may call them on any thread.
    """

    def __init__(self) -> None:
        self.binaries: dict[BinaryId, bytes] = {}
        self.numbers = count()

    def add(self, data: bytes) -> BinaryId:
        """Keep a binary and return its id."""
        binary_id = BinaryId(next(self.numbers))
        self.binaries[binary_id] = data
        return binary_id

    def get(self, binary_id: BinaryId) -> bytes | None:
        """Return a binary; None if it was removed."""
        return self.binaries.get(binary_id)

    def remove(self, binary_id: BinaryId) -> None:
        """Let a binary go; one that is not there is no error."""
        self.binaries.pop(binary_id, None)

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
                data = self.binaries.get(binary_id)
                if data is None:
                    context.send_failure(MiniSparkError(f"binary {binary_id} is gone: what needed it has ended"))
                else:
                    context.reply(BinaryContent(binary_id, data))
            case NeedClass(qualified_name):
                context.reply(Binary(self.class_content(qualified_name)))
            case _:
                assert_never(message)
