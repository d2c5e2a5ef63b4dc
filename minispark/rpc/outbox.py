"""Lines to peers: the way messages and asks of this env take to another one.

A `DialledLine` connects at the first message (one per remote address); an `AcceptedLine` is the peer's own
connection, for replies and for refs of peers that do not listen.
"""

import logging
from typing import TYPE_CHECKING

from minispark.errors import OutboxOverflow, RpcError
from minispark.rpc.asks import AskTable
from minispark.rpc.connection import Connection
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.envelope import Packed
from minispark.rpc.logic.outbox import Outbox, OutboxState, over_size, packed_size

if TYPE_CHECKING:
    from minispark.rpc.network import Network

__all__ = ["AcceptedLine", "DialledLine", "Line"]

log = logging.getLogger(__name__)


class Line:
    """The way to one peer.

    Attributes:
        asks: ids of the asks that were sent over it and wait.
        down: whether it can no more be used.
    """

    def __init__(self, table: AskTable) -> None:
        self.table = table
        self.asks: set[int] = set()
        self.down = False

    @property
    def peer(self) -> str:
        """The peer, for people."""
        raise NotImplementedError

    def post(self, packed: Packed) -> None:
        """Send; never waits."""
        raise NotImplementedError

    def fail(self, reason: str, cause: BaseException | None = None) -> None:
        """Take the line down and fail the asks that wait on it, all at once."""
        self.down = True
        kind = type(cause) if isinstance(cause, RpcError) and len(cause.args) == 1 else RpcError
        for ask_id in list(self.asks):
            ask = self.table.open[ask_id]
            self.table.fail(ask, kind(f"no reply from {ask.ref} to {ask.message_type.__name__}: {reason}"))


class AcceptedLine(Line):
    """A connection that the peer made."""

    def __init__(self, table: AskTable, connection: Connection) -> None:
        super().__init__(table)
        self.connection = connection

    @property
    def peer(self) -> str:
        """The peer's name and address."""
        return str(self.connection)

    def post(self, packed: Packed) -> None:
        """Send; never waits."""
        self.connection.write(*packed)


class DialledLine(Line):
    """A connection that this env makes when it has something to say."""

    def __init__(self, network: "Network", address: RpcAddress) -> None:
        super().__init__(network.env.asks)
        self.network = network
        self.address = address
        self.outbox = Outbox(str(address), network.outbox_limit)
        self.connection: Connection | None = None

    @property
    def peer(self) -> str:
        """The peer's address."""
        return str(self.address)

    def post(self, packed: Packed) -> None:
        """Send; the first message makes the connection."""
        if self.connection is not None:
            self.connection.write(*packed)
            return
        if packed_size(packed) > self.network.max_size:
            raise over_size(packed_size(packed), self.network.max_size)
        try:
            if self.outbox.add(packed):
                self.network.dial(self)
        except OutboxOverflow as error:
            self.network.give_up(self, error)

    def connected(self, connection: Connection) -> None:
        """Send what waited."""
        self.connection = connection
        for body, attachments in self.outbox.connected():
            connection.write(body, attachments)

    def fail(self, reason: str, cause: BaseException | None = None) -> None:
        """Take the line down; what waited is dropped."""
        if self.outbox.state is not OutboxState.DOWN:
            dropped = self.outbox.fail()
            if dropped:
                log.warning("%d messages to %s dropped: %s", dropped, self.address, reason)
        super().fail(reason, cause)
