"""The contract of an endpoint: constructor → `on_start` → `receive`* → `on_stop`.

An endpoint is a plain object with state; its RpcEnv calls it, one message at a time, on the env's event loop.
`receive` is a plain `def`: it changes state, sends, asks and replies, but never waits. Work that waits is spawned in
the env's `TaskScope` and its outcome comes back as a message. Source: Spark's `RpcEndpoint`.
"""

from typing import TYPE_CHECKING, Any, Protocol

from minispark.errors import RpcError
from minispark.rpc.message import Message

if TYPE_CHECKING:
    from minispark.rpc.logic.address import RpcAddress
    from minispark.rpc.ref import RpcEndpointRef

__all__ = ["CallContext", "RpcEndpoint"]


class CallContext(Protocol):
    """The asker's side of one message; exactly one of `reply` and `send_failure` is called, now or later."""

    @property
    def sender(self) -> "RpcAddress | None":
        """The asker's server address; None if it has none (a client-mode env)."""

    @property
    def is_ask(self) -> bool:
        """Whether somebody waits for a reply; replying to a one-way message does nothing."""

    def reply(self, message: Message) -> None:
        """Answer the ask."""

    def send_failure(self, error: BaseException) -> None:
        """Fail the ask; the asker sees an `RpcError` with this error's type and text."""


class RpcEndpoint:
    """The base class of all endpoints.

    Attributes:
        concurrent: when True, messages are still taken in order, but an ask may be answered after later ones.
    """

    _ref: "RpcEndpointRef | None" = None

    @property
    def self_ref(self) -> "RpcEndpointRef":
        """The endpoint's own ref, valid from registration until `on_stop` begins.

        Raises:
            RpcError: outside of that span.
        """
        if self._ref is None:
            raise RpcError(f"{type(self).__name__} is not registered, or stopped")
        return self._ref

    def on_start(self) -> None:
        """Run before the first message; `self_ref` can be used."""

    def receive(self, message: Any, context: CallContext) -> None:
        """Handle one message.

        Implementations narrow `message` with `match` over the union of what they understand.
        """
        raise RpcError(f"{type(self).__name__} does not implement receive; got {type(message).__name__}")

    def on_connected(self, address: "RpcAddress") -> None:
        """Run when a peer connects."""

    def on_disconnected(self, address: "RpcAddress") -> None:
        """Run when a peer's connection ended."""

    def on_network_error(self, error: BaseException, address: "RpcAddress") -> None:
        """Run when the connection to a peer failed."""

    def on_error(self, error: BaseException) -> None:
        """Run when a callback of this endpoint raised, or a task it spawned; by default the error is logged."""
        raise error

    def on_stop(self) -> None:
        """Run after the last message; `self_ref` is gone."""
