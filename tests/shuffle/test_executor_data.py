from dataclasses import replace
from pathlib import Path

import pytest

from minispark.errors import MiniSparkError, RpcError
from minispark.rpc.logic.address import RpcAddress
from minispark.shuffle.executor_data import ExecutorData
from tests.rpc.peers import Peers, with_peers
from tests.shuffle.outputs import session


def test_without_a_service_outputs_are_found_at_the_executor(tmp_path: Path) -> None:
    async def scenario(peers: Peers) -> None:
        location = session(tmp_path / "app" / "1" / "session", "1")
        data = ExecutorData(peers.client, location)

        await data.start(tmp_path / "app")

        assert data.output_location == location

    with_peers(scenario)


def test_with_a_service_outputs_are_found_there_under_the_executors_id(tmp_path: Path) -> None:
    async def scenario(peers: Peers) -> None:
        location = session(tmp_path / "app" / "1" / "session", "1")

        data = ExecutorData(peers.client, location, RpcAddress("127.0.0.1", 7337))

        assert data.output_location == replace(location, port=7337)
        with pytest.raises(RpcError, match="cannot connect to"):
            await data.start(tmp_path / "app")

    with_peers(scenario)


@pytest.mark.scenario("BLK-004", "39647 registration failure with shuffle service")
def test_a_service_that_does_not_know_the_request_fails_the_registration(tmp_path: Path) -> None:
    async def scenario(peers: Peers) -> None:
        location = session(tmp_path / "app" / "1" / "session", "1")
        data = ExecutorData(peers.client, location, peers.address)

        with pytest.raises(MiniSparkError, match="blocks"):
            await data.start(tmp_path / "app")

    with_peers(scenario)
