"""minispark.cli.decommission: workers of hosts are told to go, and what is wrong is told in a line."""

from typing import Any

import pytest
from click.testing import CliRunner

from minispark.cli.client import ClusterClient
from minispark.cli.decommission import leave
from minispark.cli.main import main
from minispark.errors import ConfigurationError
from minispark.messages.deploy_clients import DecommissionWorkersOnHosts
from minispark.messages.deploy_values import Acknowledged, MasterState
from minispark.rpc.endpoint import CallContext
from tests.cli.masters import ScriptedMaster, with_masters


class Decommissioning(ScriptedMaster):
    """A master that answers a request to decommission."""

    def __init__(self, answer: Acknowledged) -> None:
        super().__init__(MasterState.ALIVE)
        self.answer = answer

    def receive(self, message: Any, context: CallContext) -> None:
        super().receive(message, context)
        if isinstance(message, DecommissionWorkersOnHosts):
            context.reply(self.answer)


def test_the_workers_of_the_hosts_are_told_to_go_and_counted() -> None:
    async def scenario(client: ClusterClient, masters: list[Any], envs: list[Any]) -> None:
        assert await leave(client, ("alpha", "beta")) == 3
        assert masters[0].heard[-1] == DecommissionWorkersOnHosts(("alpha", "beta"))

    with_masters(scenario, Decommissioning(Acknowledged(count=3)))


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Acknowledged(False, "set minispark.decommission.enabled=true"), "set minispark.decommission.enabled"),
        (Acknowledged(count=0), "there is no worker on alpha"),
    ],
)
def test_a_master_that_refuses_and_hosts_without_workers_are_told(answer: Acknowledged, text: str) -> None:
    async def scenario(client: ClusterClient, masters: list[Any], envs: list[Any]) -> None:
        with pytest.raises(ConfigurationError, match=text):
            await leave(client, ("alpha",))

    with_masters(scenario, Decommissioning(answer))


@pytest.mark.parametrize("words", [[], ["alpha", "--all"]])
def test_hosts_are_named_or_all_are_meant(words: list[str]) -> None:
    result = CliRunner().invoke(main, ["decommission", *words])

    assert result.exit_code == 2
    assert "name the hosts whose workers are to go, or say --all" in result.output
