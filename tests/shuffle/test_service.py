from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from minispark.errors import ProtocolError, RpcError
from minispark.ids import ApplicationId
from minispark.messages.task import BlockManagerId
from minispark.messages.transfer import FetchMapOutputs, MapOutputsHead
from minispark.rpc.env import RpcEnv
from minispark.shuffle.executor_data import ExecutorData
from minispark.shuffle.service import ShuffleService, start_shuffle_service
from minispark.storage.transfer import address_of, expect
from tests.rpc.peers import Peers, with_peers
from tests.shuffle.outputs import SHUFFLE, Exchange, dependency, session

APP = ApplicationId("app-1")
REALM = "app-0011"


def secret_of(realm: str) -> bytes:
    return realm.encode() * 8


class Host:
    """A worker's host, without the worker: a work directory, a shuffle service, an executor's env."""

    def __init__(self, peers: Peers, work: Path) -> None:
        self.peers, self.work = peers, work
        self.exchange: Exchange

    async def start_service(self, **settings: object) -> ShuffleService:
        """Start a shuffle service on this host, as the worker does."""
        self.peers.client.conf.set("minispark.shuffle.service.port", 0)
        for key, value in settings.items():
            self.peers.client.conf.set(f"minispark.{key.replace('__', '.')}", value)
        self.service = await start_shuffle_service(
            self.peers.client.world, self.peers.client.conf, "127.0.0.1", self.work, secret_of
        )
        self.peers.envs.append(self.service.env)
        return self.service

    def executor_env(self, realm: str = REALM) -> RpcEnv:
        """Return an env of one of the application's processes."""
        world = self.peers.env(f"executor of {realm} {len(self.peers.envs)}").world
        env = RpcEnv("executor", world, self.peers.client.conf, secret=secret_of(realm), realm=realm)
        self.peers.envs.append(env)
        return env

    async def start_executor(self, executor: str = "1") -> ExecutorData:
        """Start an executor that writes a map output and registers."""
        self.service.add_application(APP, REALM, secret_of(REALM), self.work / APP)
        location = replace(session(self.work / APP / executor / "session", executor), host="127.0.0.1")
        data = ExecutorData(self.executor_env(), location, self.service.address)
        await data.start(self.work / APP)
        self.exchange = Exchange(data.output_location, dependency(1))
        self.exchange.write_all([("a", 1)])
        return data

    async def fetch(self, env: RpcEnv, location: BlockManagerId) -> tuple[str, ...]:
        """Fetch the map output from where its status says; return the problems."""
        status = self.exchange.table.of(SHUFFLE).statuses[0]
        assert status is not None
        channel = await env.bulk.open(address_of(location), "blocks")
        async with channel:
            await channel.send(FetchMapOutputs(location.executor_id, SHUFFLE, 0, (status.map_id,)))
            return (await expect(channel, MapOutputsHead)).problems


def with_host(work: Path, scenario: Callable[[Host], Awaitable[None]]) -> None:
    """Run a scenario on a host, in virtual time."""

    async def main(peers: Peers) -> None:
        await scenario(Host(peers, work))

    with_peers(main)


@pytest.mark.scenario("ESS-001", "shuffle still readable after executor killed")
def test_the_outputs_of_an_executor_that_is_gone_are_served(tmp_path: Path) -> None:
    async def scenario(host: Host) -> None:
        await host.start_service()
        executor = await host.start_executor()
        await executor.transfer.env.close()

        problems = await host.fetch(host.executor_env(), executor.output_location)

        assert problems == ("",)

    with_host(tmp_path, scenario)


@pytest.mark.scenario("ESS-002")
@pytest.mark.parametrize("kept", [True, False])
def test_a_service_that_starts_again_serves_on_if_it_kept_its_registrations(tmp_path: Path, kept: bool) -> None:
    async def scenario(host: Host) -> None:
        service = await host.start_service(shuffle__service__db__enabled=kept)
        executor = await host.start_executor()
        await service.close()

        again = await host.start_service(shuffle__service__db__enabled=kept)

        place = replace(executor.output_location, port=again.address.port)
        if kept:
            assert await host.fetch(host.executor_env(), place) == ("",)
        else:
            with pytest.raises(RpcError, match="realm"):
                await host.fetch(host.executor_env(), place)

    with_host(tmp_path, scenario)


def test_the_end_of_an_application_ends_its_files_and_its_realm(tmp_path: Path) -> None:
    async def scenario(host: Host) -> None:
        service = await host.start_service()
        executor = await host.start_executor()

        await service.remove_application(APP)

        assert not Path(executor.location.directory).exists()
        assert list((tmp_path / "shuffle-service").iterdir()) == []
        with pytest.raises(RpcError, match="realm"):
            await host.fetch(host.executor_env(), executor.output_location)
        await service.remove_application(APP)

    with_host(tmp_path, scenario)


def test_another_application_finds_nothing(tmp_path: Path) -> None:
    async def scenario(host: Host) -> None:
        service = await host.start_service()
        executor = await host.start_executor()
        service.add_application(ApplicationId("app-2"), "app-0022", secret_of("app-0022"), tmp_path / "app-2")

        problems = await host.fetch(host.executor_env("app-0022"), executor.output_location)

        assert problems == ("the files of executor 1 are not served here",)

    with_host(tmp_path, scenario)


@pytest.mark.parametrize("place", ["other/session", "app-1/2/link", "app-1/2/empty"])
def test_only_a_session_directory_of_the_application_is_registered(tmp_path: Path, place: str) -> None:
    async def scenario(host: Host) -> None:
        service = await host.start_service()
        await host.start_executor()
        outside = session(tmp_path / "other" / "session", "2")
        (tmp_path / APP / "2" / "empty").mkdir(parents=True)
        (tmp_path / APP / "2" / "link").symlink_to(outside.directory)
        location = replace(outside, directory=str(tmp_path / place))
        data = ExecutorData(host.executor_env(), location, service.address)

        with pytest.raises((ProtocolError, ValueError), match="is not"):
            await data.start(tmp_path / APP)

        assert list(service.applications.of(REALM).executors) == ["1"]

    with_host(tmp_path, scenario)


def test_a_file_that_holds_no_registrations_is_passed_over(tmp_path: Path) -> None:
    async def scenario(host: Host) -> None:
        (tmp_path / "shuffle-service").mkdir()
        (tmp_path / "shuffle-service" / "broken.json").write_text("{")

        service = await host.start_service()

        assert service.applications.by_realm == {}

    with_host(tmp_path, scenario)
