"""The endpoint that says which endpoints an env has; `RpcEnv.lookup` asks it. Source: Spark's endpoint-verifier."""

from collections.abc import Callable
from typing import Any

from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.message import Ask, Message, message

__all__ = ["VERIFIER", "CheckExistence", "EndpointVerifier", "Existence"]

VERIFIER = "endpoint-verifier"


@message(32030)
class Existence(Message):
    """Verifier → asker: whether the endpoint exists."""

    exists: bool


@message(32031)
class CheckExistence(Ask[Existence]):
    """Anyone → verifier: is there an endpoint of that name?"""

    name: str


class EndpointVerifier(RpcEndpoint):
    """Answers `CheckExistence`; registered when an env begins to listen."""

    def __init__(self, exists: Callable[[str], bool]) -> None:
        self.exists = exists

    def receive(self, message: Any, context: CallContext) -> None:
        """Answer."""
        if isinstance(message, CheckExistence):
            context.reply(Existence(self.exists(message.name)))
        else:
            super().receive(message, context)
