"""Refs and call contexts of endpoints in other envs."""

import logging
from typing import TYPE_CHECKING, Any

from minispark.errors import ProtocolError, RpcEndpointNotFound, RpcError
from minispark.rpc.asks import AskFuture
from minispark.rpc.failures import describe
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.envelope import pack_ask, pack_failure, pack_one_way, pack_reply
from minispark.rpc.message import Ask, Message

if TYPE_CHECKING:
    from minispark.rpc.connection import Connection
    from minispark.rpc.env import RpcEnv
    from minispark.rpc.outbox import Line

__all__ = ["RemoteCall", "RemoteRef", "not_for", "not_found"]

log = logging.getLogger(__name__)


class RemoteRef:
    """A handle on an endpoint elsewhere.

    Args:
        env: the env that uses it.
        name: the endpoint's name there.
        address: where its env listens; None if it does not.
        line: for a ref without an address: the connection it came over, the only way to it.
    """

    __slots__ = ("address", "env", "name", "via")

    def __init__(self, env: "RpcEnv", name: str, address: RpcAddress | None, line: "Line | None" = None) -> None:
        self.env = env
        self.name = name
        self.address = address
        self.via = line

    def line(self) -> "Line":
        """Return the line to the endpoint's env.

        Raises:
            RpcError: there is no way to it.
        """
        via = self.via
        if via is not None and not via.down:
            return via
        if self.address is None:
            raise RpcError(f"{self} cannot be reached: its env does not listen and its connection is gone")
        via = self.via = self.env.network.outbox(self.address)
        return via

    def send(self, message: Message) -> None:
        """Send one way; if there is no way to the peer the message is dropped with a warning.

        Raises:
            ProtocolError: the message cannot be encoded or is too large.
        """
        packed = pack_one_way(self.name, message)
        try:
            self.line().post(packed)
        except ProtocolError:
            raise
        except RpcError as error:
            log.warning("%s: %s to %s dropped: %s", self.env.name, type(message).__name__, self, error)

    def ask(self, message: Ask[Any], timeout_s: float | None = None) -> AskFuture:
        """Send and return the future reply."""
        ask = self.env.asks.new(self, message, timeout_s)
        try:
            packed = pack_ask(self.name, message, ask.ask_id)
            line = ask.line = self.line()
            line.asks.add(ask.ask_id)
            line.post(packed)
        except RpcError as error:
            ask.abort(error)
        return ask

    def __eq__(self, other: object) -> bool:
        return other is self or (self.name, self.address) == (
            getattr(other, "name", None),
            getattr(other, "address", 0),
        )

    def __hash__(self) -> int:
        return hash((self.name, self.address))

    def __repr__(self) -> str:
        where = self.address or (self.via.peer if self.via is not None else "an unknown peer")
        return f"{self.name}@{where}"


class RemoteCall:
    """The context of an ask from another env; the reply goes back over the connection the ask came on."""

    __slots__ = ("ask_id", "connection", "endpoint")
    is_ask = True

    def __init__(self, connection: "Connection", ask_id: int, endpoint: str) -> None:
        self.connection = connection
        self.ask_id: int | None = ask_id
        self.endpoint = endpoint

    @property
    def sender(self) -> RpcAddress | None:
        """Where the asker's env listens."""
        return self.connection.peer_address

    def reply(self, message: Message) -> None:
        """Answer; a reply that cannot be encoded, or is too large, fails the ask with the reason."""
        ask_id = self.ask_id
        if ask_id is None:
            log.debug("%s answered an ask twice: %s dropped", self.endpoint, type(message).__name__)
            return
        try:
            self.connection.write(*pack_reply(ask_id, message))
        except ProtocolError as error:
            self.send_failure(error)
        self.ask_id = None

    def send_failure(self, error: BaseException) -> None:
        """Fail the ask with this error's type and text."""
        ask_id, self.ask_id = self.ask_id, None
        if ask_id is not None:
            self.connection.write(*pack_failure(ask_id, *describe(error)))


def not_found(name: str, where: object) -> RpcEndpointNotFound:
    """Return the error of an endpoint that is not there."""
    return RpcEndpointNotFound(f"there is no endpoint {name!r} at {where}")


def not_for(what: str, realm: str) -> RpcError:
    """Return the error of an endpoint or service that peers of a realm may not use."""
    return RpcError(f"{what!r} takes nothing from peers of the realm {realm!r}")
