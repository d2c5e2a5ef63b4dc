import pytest

from minispark.executor.driver_watch import DriverWatch
from minispark.rpc.logic.address import RpcAddress

DRIVER, PEER = RpcAddress("driver", 7077), RpcAddress("peer", 7077)


@pytest.mark.scenario("WRK-004")
def test_only_the_end_of_the_driver_is_told() -> None:
    told: list[str] = []
    watch = DriverWatch(DRIVER, told.append)

    watch.on_disconnected(PEER)
    watch.on_network_error(OSError("reset"), PEER)
    assert told == []

    watch.on_disconnected(DRIVER)
    watch.on_network_error(OSError("reset"), DRIVER)
    assert told == [
        "the connection to minispark://driver:7077 ended", "the connection to minispark://driver:7077 failed: reset",
    ]  # fmt: skip
