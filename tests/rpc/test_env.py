"""The env itself: listening, lookup, secrets, closing."""

import asyncio

import pytest

from minispark.conf import SparkConf
from minispark.errors import RpcEndpointNotFound, RpcEnvStopped, RpcError, RpcTimeout
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.ref import RpcEndpointRef
from minispark.testing.virtual_loop import VirtualWorld
from tests.rpc.peers import Note, Peers, Probe, Question, Silence, settle, with_env, with_peers


@pytest.mark.scenario("RPC-009")
def test_a_port_in_use_gives_way_to_the_next() -> None:
    async def scenario(peers: Peers) -> None:
        third = peers.env("third")
        assert await third.listen("127.0.0.1", 7077) == RpcAddress("127.0.0.1", 7078)

    with_peers(scenario)


def test_when_no_port_in_reach_is_free_the_error_names_it() -> None:
    async def scenario(peers: Peers) -> None:
        third = peers.env("third", settings={"port.maxRetries": 0})
        with pytest.raises(RpcError, match=r"cannot listen on minispark://127\.0\.0\.1:7077: .*in use"):
            await third.listen("127.0.0.1", 7077)

    with_peers(scenario)


@pytest.mark.scenario("RPN-002")
def test_peers_are_told_the_advertised_address() -> None:
    async def scenario(peers: Peers) -> None:
        third = peers.env("third")
        address = await third.listen("0.0.0.0", 7078, advertised_host="node-1.example")
        ref = third.setup_endpoint("mine", Probe())
        assert address == third.address == ref.address == RpcAddress("node-1.example", 7078)
        assert RpcAddress("0.0.0.0", 7078) in peers.network.listeners

    with_peers(scenario)


def test_a_wildcard_cannot_be_told_to_peers() -> None:
    async def scenario(env: RpcEnv) -> None:
        with pytest.raises(ValueError, match="say advertised_host"):
            await env.listen("0.0.0.0", 7077)

    with_env(scenario)


def test_an_env_listens_once() -> None:
    async def scenario(peers: Peers) -> None:
        with pytest.raises(RpcError, match=r"listens already on minispark://127\.0\.0\.1:7077"):
            await peers.server.listen()

    with_peers(scenario)


def test_lookup_returns_the_ref_of_an_endpoint_that_exists() -> None:
    async def scenario(peers: Peers) -> None:
        ref = await peers.client.lookup(peers.address, "probe")
        assert await ref.ask(Question("found")) == Note("FOUND")
        assert await peers.server.lookup(peers.address, "probe") == ref

    with_peers(scenario)


@pytest.mark.scenario("RPN-001")
def test_lookup_of_a_missing_endpoint_is_an_error_that_names_it() -> None:
    async def scenario(peers: Peers) -> None:
        with pytest.raises(RpcEndpointNotFound, match=r"no endpoint 'nobody' at minispark://127\.0\.0\.1:7077"):
            await peers.client.lookup(peers.address, "nobody")

    with_peers(scenario)


@pytest.mark.scenario("RPC-012", "message names the controlling key")
def test_a_lookup_that_gets_no_answer_names_its_own_key_once() -> None:
    async def scenario(peers: Peers) -> None:
        await peers.ref.ask(Question("connect"))
        for transport in peers.network.transports:
            transport.stalled = True
        with pytest.raises(RpcTimeout) as caught:
            await peers.client.lookup(peers.address, "probe")
        assert str(caught.value).count("controlled by") == 1
        assert "minispark.rpc.lookupTimeout" in str(caught.value)
        assert peers.client.loop.time() == pytest.approx(5)

    with_peers(scenario, rpc__lookupTimeout="5s")


def test_an_env_with_another_secret_is_refused_and_told_why() -> None:
    async def scenario(peers: Peers) -> None:
        stranger = peers.env("stranger", secret=b"some other secret of 32 bytes ..")
        with pytest.raises(RpcError, match="does not know the secret"):
            await stranger.bind("probe", peers.address).ask(Question("?"))
        assert peers.probe.messages == []

    with_peers(scenario)


def test_a_short_secret_is_refused() -> None:
    async def scenario(env: RpcEnv) -> None:
        with pytest.raises(ValueError, match="at least 16 bytes, not 5"):
            RpcEnv("weak", VirtualWorld(), SparkConf(), secret=b"12345")
        with pytest.raises(ValueError, match="at least 16 bytes, not 3"):
            env.add_realm("weak", b"123")

    with_env(scenario)


def test_without_a_secret_each_env_has_one_of_its_own() -> None:
    async def scenario(env: RpcEnv) -> None:
        world = VirtualWorld()
        assert RpcEnv("a", world, SparkConf()).secret != RpcEnv("b", world, SparkConf()).secret

    with_env(scenario)


def test_closing_stops_the_endpoints_fails_open_asks_and_cancels_the_scope() -> None:
    async def scenario(peers: Peers) -> None:
        first, second = Probe(), Probe()
        ref = peers.client.setup_endpoint("first", first)
        peers.client.setup_endpoint("second", second)
        task = peers.client.scope.spawn(asyncio.sleep(1000), name="long")
        local, remote = ref.ask(Silence()), peers.ref.ask(Silence())
        await settle()
        await peers.client.close()
        assert (first.events[-1], second.events[-1]) == (("stop",), ("stop",))
        assert task.cancelled()
        for ask in (local, remote):
            with pytest.raises(RpcError):
                await ask
        assert not peers.client.network.connections

    with_peers(scenario)


def test_what_endpoints_say_in_on_stop_still_goes_out() -> None:
    class Polite(Probe):
        goodbye: RpcEndpointRef

        def on_stop(self) -> None:
            self.goodbye.send(Note("goodbye"))

    async def scenario(peers: Peers) -> None:
        polite = Polite()
        polite.goodbye = peers.ref
        peers.client.setup_endpoint("polite", polite)
        await peers.ref.ask(Question("connect"))
        await peers.client.close()
        await settle()
        assert peers.probe.messages[-1] == Note("goodbye")

    with_peers(scenario)


def test_closing_twice_and_from_any_task_is_one_closing_that_a_cancel_does_not_interrupt() -> None:
    async def scenario(env: RpcEnv) -> None:
        probe = Probe()
        env.setup_endpoint("probe", probe)
        impatient = asyncio.get_running_loop().create_task(env.close())
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.gather(env.close(), env.close())
        assert probe.events == [("start",), ("stop",)]
        assert impatient.cancelled()

    with_env(scenario)


def test_after_closing_nothing_can_be_asked_or_connected() -> None:
    async def scenario(peers: Peers) -> None:
        await peers.client.close()
        with pytest.raises(RpcEnvStopped):
            await peers.ref.ask(Question("?"))
        peers.ref.send(Note("dropped"))

    with_peers(scenario)
