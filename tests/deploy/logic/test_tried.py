"""minispark.deploy.logic.tried."""

from minispark.deploy.logic.tried import Tried
from minispark.rpc.logic.address import RpcAddress


def test_each_master_has_its_last_trouble() -> None:
    tried = Tried((RpcAddress("a", 1), RpcAddress("b", 2)))

    for address, text in (
        (RpcAddress("a", 1), "refused"),
        (RpcAddress("a", 1), "wrong secret"),
        (RpcAddress("c", 3), "x"),
    ):
        tried.failed(address, OSError(text))

    assert str(tried) == "tried minispark://a:1 (wrong secret), minispark://b:2 (no answer)"
