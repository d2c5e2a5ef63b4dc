"""Realms of an env that knows several: which peers may talk to which of its endpoints and services."""

import pytest

from minispark.errors import RpcError
from minispark.rpc.bulk import BulkChannel
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.remote import RemoteRef
from tests.rpc.peers import SECRET, Note, Peers, Probe, Question, settle, with_peers

APPLICATION = b"the secret of an application ..."
REFUSED = "takes nothing from peers of the realm"


class Driver:
    """A driver's env: listens, is of the application's realm and knows the cluster's; a peer of either realm."""

    def __init__(self, peers: Peers) -> None:
        self.peers = peers
        self.env = self.made("driver", "app", APPLICATION)
        self.own, self.clusters = Probe(), Probe()
        self.executor = self.made("executor", "app", APPLICATION)
        self.master = self.made("master", "cluster", SECRET)

    def made(self, name: str, realm: str, secret: bytes) -> RpcEnv:
        world = self.peers.env(f"the world of {name}").world
        env = RpcEnv(name, world, self.peers.server.conf, secret=secret, realm=realm)
        self.peers.envs.append(env)
        return env

    async def start(self) -> RpcAddress:
        self.env.add_realm("cluster", SECRET)
        address = await self.env.listen("127.0.0.1", 7078)
        self.env.setup_endpoint("own", self.own)
        self.env.setup_endpoint("clusters", self.clusters, realms=("cluster",))
        return address


def test_an_env_can_have_the_clusters_secret_beside_its_own() -> None:
    async def scenario(peers: Peers) -> None:
        application = peers.env("driver", secret=APPLICATION)
        application.add_realm("cluster", SECRET, [peers.address])
        peers.server.add_realm("cluster", SECRET)
        peers.server.setup_endpoint("clusters", Probe(), realms=("cluster",))
        assert await application.bind("clusters", peers.address).ask(Question("hi")) == Note("HI")

    with_peers(scenario)


def test_an_endpoint_takes_messages_of_its_own_realm_alone() -> None:
    async def scenario(peers: Peers) -> None:
        driver = Driver(peers)
        address = await driver.start()
        assert await driver.executor.bind("own", address).ask(Question("a")) == Note("A")
        assert await driver.master.bind("clusters", address).ask(Question("b")) == Note("B")
        with pytest.raises(RpcError, match=f"'clusters' {REFUSED} 'app'"):
            await driver.executor.bind("clusters", address).ask(Question("c"))
        with pytest.raises(RpcError, match=f"'own' {REFUSED} 'cluster'"):
            await driver.master.bind("own", address).ask(Question("d"))
        assert (driver.own.messages, driver.clusters.messages) == ([Question("a")], [Question("b")])

    with_peers(scenario)


def test_a_message_of_the_wrong_realm_is_logged_and_the_connection_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(peers: Peers) -> None:
        driver = Driver(peers)
        address = await driver.start()
        driver.executor.bind("clusters", address).send(Note("sent one way"))
        assert await driver.executor.bind("own", address).ask(Question("still there?")) == Note("STILL THERE?")
        assert driver.clusters.messages == []

    with_peers(scenario)
    assert [record.message for record in caplog.records if REFUSED in record.message]


def test_a_peer_that_is_dialled_may_answer_only_endpoints_of_the_realm_it_was_dialled_under() -> None:
    async def scenario(peers: Peers) -> None:
        driver = Driver(peers)
        address = await driver.start()
        await driver.executor.bind("own", address).ask(Question("a"))
        (connection,) = driver.env.network.connections
        driver.executor.setup_endpoint("mine", mine := Probe(), realms=("cluster",))
        with pytest.raises(RpcError, match=f"'mine' {REFUSED} 'app'"):
            await RemoteRef(driver.env, "mine", None, connection.line).ask(Question("back"))
        assert mine.messages == []

    with_peers(scenario)


def test_connections_are_told_to_endpoints_of_their_realm() -> None:
    async def scenario(peers: Peers) -> None:
        driver = Driver(peers)
        address = await driver.start()
        await driver.executor.bind("own", address).ask(Question("a"))
        await driver.executor.close()
        await settle()
        assert [event[0] for event in driver.own.named("connected", "disconnected")] == ["connected", "disconnected"]
        assert driver.clusters.named("connected", "disconnected") == []

    with_peers(scenario)


def test_a_peer_of_another_realm_does_not_speak_for_one_whose_connection_ends() -> None:
    async def scenario(peers: Peers) -> None:
        driver = Driver(peers)
        address = await driver.start()
        leader = await driver.master.listen("127.0.0.1", 7079)
        await driver.master.bind("clusters", address).ask(Question("a"))
        driver.executor.address = leader  # it says so
        await driver.executor.bind("own", address).ask(Question("b"))
        await driver.master.close()
        await settle()
        assert ("disconnected", leader) in driver.clusters.events

    with_peers(scenario)


def test_peers_of_every_realm_may_ask_which_endpoints_there_are() -> None:
    async def scenario(peers: Peers) -> None:
        driver = Driver(peers)
        address = await driver.start()
        assert (await driver.executor.lookup(address, "own")).name == "own"
        assert (await driver.master.lookup(address, "clusters")).name == "clusters"

    with_peers(scenario)


def test_a_bulk_service_serves_its_own_realm_alone() -> None:
    async def serve(channel: BulkChannel) -> None:
        await channel.send(Note("served"))

    async def scenario(peers: Peers) -> None:
        driver = Driver(peers)
        address = await driver.start()
        driver.env.bulk.serve("own", serve)
        driver.env.bulk.serve("everybody's", serve, realms=driver.env.secrets)
        async with await driver.master.bulk.open(address, "everybody's") as channel:
            assert await channel.receive() == Note("served")
        async with await driver.master.bulk.open(address, "own") as channel:
            with pytest.raises(RpcError, match=f"'own' {REFUSED} 'cluster'"):
                await channel.receive()

    with_peers(scenario)
