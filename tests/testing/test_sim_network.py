import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from minispark.rpc.logic.address import RpcAddress
from minispark.testing.sim_loop import SimLoop, SimProcess
from minispark.testing.sim_network import GIVE_UP_S, SimNetwork

HERE, THERE = RpcAddress("a", 1), RpcAddress("b", 1)


class Peer(asyncio.BufferedProtocol):
    """Keeps what it gets, with the time."""

    def __init__(self, loop: SimLoop) -> None:
        self.loop = loop
        self.buffer = bytearray(100)
        self.heard: list[tuple[float, str]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.heard.append((round(self.loop.now, 3), bytes(self.buffer[:nbytes]).decode()))

    def connection_lost(self, exc: Exception | None) -> None:
        self.heard.append((round(self.loop.now, 3), f"lost {type(exc).__name__}"))


class Site:
    """Two processes on two hosts, connected."""

    def __init__(self, loop: SimLoop) -> None:
        self.loop = loop
        self.network = SimNetwork(loop, random.Random(0), delay_s=0.1)
        self.client, self.server = SimProcess(loop, "client", "a"), SimProcess(loop, "server", "b")
        for process in (self.client, self.server):
            process.on_end.append(partial(self.ended, process))
        self.near, self.far = Peer(loop), Peer(loop)
        self.network.listen_as(lambda: self.far, THERE, self.server)
        loop.run_as(self.client, self.network.connect_as, lambda: self.near, THERE, "a", self.client)

    def ended(self, process: SimProcess, code: int) -> None:
        self.network.process_ended(process)

    def say(self, text: str) -> None:
        self.loop.run_as(self.client, self.near.transport.write, text.encode())  # type: ignore[attr-defined]


def at_site(scenario: Callable[[Site], Awaitable[None]]) -> None:
    loop = SimLoop()

    async def run() -> None:
        await scenario(Site(loop))

    try:
        loop.run_until_complete(run())
    finally:
        loop.finish()


def test_bytes_travel_in_order_and_take_their_time() -> None:
    async def scenario(site: Site) -> None:
        site.say("one")
        site.say("two")
        await asyncio.sleep(1)
        assert site.far.heard == [(0.1, "one"), (0.1, "two")]
        site.network.slow["a", "b"] = 0.4
        site.say("three")
        await asyncio.sleep(1)
        assert site.far.heard[2:] == [(1.5, "three")]

    at_site(scenario)


def test_what_is_sent_over_a_cut_link_arrives_when_it_is_healed() -> None:
    async def scenario(site: Site) -> None:
        site.network.cut_link("b", "a")
        site.say("one")
        await asyncio.sleep(10)
        assert site.far.heard == []
        site.network.heal_link("a", "b")
        await asyncio.sleep(1)
        assert site.far.heard == [(10.1, "one")]

    at_site(scenario)


def test_a_connection_over_which_nothing_passes_for_long_fails_on_the_side_that_has_sent() -> None:
    async def scenario(site: Site) -> None:
        await asyncio.sleep(1)
        site.network.isolate(["a"], ["b"])
        site.say("one")
        await asyncio.sleep(GIVE_UP_S + 1)
        assert site.near.heard == [(GIVE_UP_S + 1, "lost TimeoutError")]
        assert site.far.heard == []
        site.network.heal()
        site.loop.run_as(site.server, site.far.transport.write, b"still there?")  # type: ignore[attr-defined]
        await asyncio.sleep(1)
        assert [what for _, what in site.far.heard] == ["lost ConnectionResetError"]

    at_site(scenario)


@pytest.mark.parametrize("host_dies", [False, True])
def test_the_end_of_a_process_is_noticed_unless_its_host_has_died(host_dies: bool) -> None:
    async def scenario(site: Site) -> None:
        await asyncio.sleep(1)
        if host_dies:
            site.network.dead["b"] = None
        site.server.end()
        await asyncio.sleep(1)
        assert [what for _, what in site.near.heard] == ([] if host_dies else ["lost ConnectionResetError"])
        with pytest.raises(ConnectionRefusedError):
            site.network.connect_as(lambda: site.near, THERE, "a", site.client)

    at_site(scenario)


def test_a_host_that_was_switched_off_and_is_there_again_resets_the_connections_of_before() -> None:
    async def scenario(site: Site) -> None:
        await asyncio.sleep(1)
        site.network.dead["b"] = None
        site.loop.run_as(site.server, site.far.transport.write, b"too late")  # type: ignore[attr-defined]
        site.server.end()
        site.say("hello")
        await asyncio.sleep(10)
        assert site.near.heard == []
        del site.network.dead["b"]
        site.network.flush()
        await asyncio.sleep(1)
        assert site.near.heard == [(11.1, "lost ConnectionResetError")]

    at_site(scenario)


def test_a_port_in_use_is_an_error() -> None:
    async def scenario(site: Site) -> None:
        with pytest.raises(OSError, match="in use"):
            site.network.listen_as(lambda: site.far, THERE, site.server)
        assert site.network.listen_as(lambda: site.far, RpcAddress("b", 0), site.server).address.port > 0

    at_site(scenario)
