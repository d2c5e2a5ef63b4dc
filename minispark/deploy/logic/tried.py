"""What kept masters from answering, for the error of a worker or an application that found none.

Told by the endpoints of both what befell their connections; decides nothing.
"""

from collections.abc import Sequence

from minispark.rpc.logic.address import RpcAddress

__all__ = ["Tried"]


class Tried:
    """The masters that are asked, each with its last trouble.

    Args:
        masters: where they may be.
    """

    def __init__(self, masters: Sequence[RpcAddress]) -> None:
        self.troubles = dict.fromkeys(masters, "no answer")

    def failed(self, address: RpcAddress, error: BaseException) -> None:
        """Take note of what a connection ended with; those to others than masters do not matter."""
        if address in self.troubles:
            self.troubles[address] = str(error)

    def __str__(self) -> str:
        return "tried " + ", ".join(f"{address} ({trouble})" for address, trouble in self.troubles.items())
