"""Notices that the connection to the driver ended; an endpoint of executor processes. Nobody sends it anything."""

from collections.abc import Callable
from typing import Final

from minispark.rpc.endpoint import RpcEndpoint
from minispark.rpc.logic.address import RpcAddress

__all__ = ["DRIVER_WATCH", "DriverWatch"]

DRIVER_WATCH: Final = "DriverWatch"


class DriverWatch(RpcEndpoint):
    """Watches one peer.

    Args:
        driver: its address.
        gone: called when a connection to it ended or could not be made; peers besides are nobody's concern.
    """

    def __init__(self, driver: RpcAddress, gone: Callable[[str], object]) -> None:
        self.driver = driver
        self.gone = gone

    def on_disconnected(self, address: RpcAddress) -> None:
        """Tell that the connection ended."""
        if address == self.driver:
            self.gone(f"the connection to {address} ended")

    def on_network_error(self, error: BaseException, address: RpcAddress) -> None:
        """Tell that the connection failed."""
        if address == self.driver:
            self.gone(f"the connection to {address} failed: {error}")
