"""A handle on an endpoint, near or far."""

from typing import TYPE_CHECKING, Protocol, TypeVar

from minispark.rpc.message import Ask, Message

if TYPE_CHECKING:
    import asyncio

    from minispark.rpc.logic.address import RpcAddress

__all__ = ["RpcEndpointRef"]

ReplyT = TypeVar("ReplyT", bound=Message)


class RpcEndpointRef(Protocol):
    """What one can do with an endpoint without knowing where it lives.

    Equality and hash are by address and name only. A ref can be a field of a message: address and name travel, and
    the receiver's env binds them. Source: Spark's `RpcEndpointRef`.
    """

    @property
    def name(self) -> str:
        """The endpoint's name in its env."""

    @property
    def address(self) -> "RpcAddress | None":
        """Where the env listens; None for an env without a server."""

    def send(self, message: Message) -> None:
        """Send one way: at most once, in order per sender and endpoint, never waits."""

    def ask(self, message: Ask[ReplyT], timeout_s: float | None = None) -> "asyncio.Future[ReplyT]":
        """Send and return the future reply; cancelling the future forgets the request.

        Args:
            message: names its reply's type.
            timeout_s: default `minispark.rpc.askTimeout`.

        The future raises:
            RpcTimeout: no reply in time.
            RpcEndpointNotFound: there is no such endpoint.
            RpcError: the peer is dead, the endpoint failed, or the env stopped.
        """
