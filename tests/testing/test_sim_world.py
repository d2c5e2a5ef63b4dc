import asyncio
import random

from minispark.rpc.logic.address import RpcAddress
from minispark.testing.sim_loop import SimLoop, SimProcess
from minispark.testing.sim_network import SimNetwork
from minispark.testing.sim_world import SimHost, SimWorld


def world_on(loop: SimLoop, host: SimHost, name: str = "one", seed: int = 7) -> SimWorld:
    return SimWorld(seed, SimNetwork(loop, random.Random(0)), host, SimProcess(loop, name, host.name))


def test_clocks_differ_from_host_to_host_and_chance_from_process_to_process() -> None:
    loop = SimLoop()
    one = world_on(loop, SimHost("a"))
    other = world_on(loop, SimHost("b", clock_offset_s=5.0, uptime_s=100.0), "other")
    loop.now = 2.0
    assert (one.monotonic(), other.monotonic()) == (2.0, 102.0)
    assert other.wall() - one.wall() == 5.0
    assert one.secret_bytes(8) != other.secret_bytes(8)
    assert world_on(loop, SimHost("a")).secret_bytes(8) == world_on(loop, SimHost("a")).secret_bytes(8)
    loop.finish()


def test_a_slow_disk_takes_its_time_and_a_cut_link_is_waited_for() -> None:
    loop = SimLoop()
    world = world_on(loop, SimHost("a", disk_s=3.0))

    async def run() -> tuple[int, float, bool]:
        found = await world.run_blocking(len, [1, 2])
        took = loop.now
        world.network.cut_link("a", "b")
        connecting = asyncio.ensure_future(world.connect(asyncio.Protocol, RpcAddress("b", 1)))
        await world.sleep(10)
        waited = not connecting.done()
        world.network.heal_link("a", "b")
        await world.sleep(2)
        return found, took, waited and isinstance(connecting.exception(), ConnectionRefusedError)

    assert loop.run_until_complete(run()) == (2, 3.0, True)
    loop.finish()
