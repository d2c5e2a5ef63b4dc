"""minispark.cli.client: addresses as people write them, and which of several masters is asked."""

import pytest

from minispark.cli.client import ClusterClient, master_addresses
from minispark.errors import ConfigurationError, RpcError
from minispark.messages.deploy_clients import RequestDriverStatus, RequestMasterStatus
from minispark.messages.deploy_values import DriverState, MasterState
from minispark.rpc.logic.address import RpcAddress
from tests.cli.masters import DRIVER, ScriptedMaster, with_masters


def test_the_scheme_and_the_port_may_be_left_out() -> None:
    two = (RpcAddress("a", 7077), RpcAddress("b", 7078))

    assert master_addresses("minispark://a:7077,b:7078") == two
    assert master_addresses("a, b:7078") == two
    assert master_addresses("[::1]:7077") == (RpcAddress("::1", 7077),)


@pytest.mark.parametrize("text", ["", "a,", "local[2]", "http://a:1"])
def test_what_is_no_address_shows_the_form(text: str) -> None:
    with pytest.raises(ConfigurationError, match="minispark://host:7077"):
        master_addresses(text)


def test_the_master_that_rules_is_asked() -> None:
    async def scenario(client: ClusterClient, masters: list[ScriptedMaster], _: object) -> None:
        assert (await client.ask(RequestDriverStatus(DRIVER))).state is DriverState.RUNNING
        assert masters[0].heard == [RequestMasterStatus()]
        assert masters[1].heard == [RequestMasterStatus(), RequestDriverStatus(DRIVER)]

    with_masters(
        scenario,
        ScriptedMaster(MasterState.STANDBY),
        ScriptedMaster(MasterState.ALIVE, (DriverState.RUNNING,)),
        unreachable=1,
    )


def test_when_no_master_rules_each_ones_reason_is_told() -> None:
    async def scenario(client: ClusterClient, *_: object) -> None:
        with pytest.raises(RpcError, match=r"127\.0\.0\.1:9000: .+; .+127\.0\.0\.1:7078: is in standby"):
            await client.status()

    with_masters(scenario, ScriptedMaster(MasterState.STANDBY), unreachable=1)
