"""Masters that answer, stand still, and are followed no more."""

from collections.abc import Awaitable, Callable

from minispark.deploy.master_watch import MasterWatch
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.ref import RpcEndpointRef
from tests.deploy.masters import Masters, freeze, with_masters

TIMEOUT_S = 60.0


class Watching:
    """A watch over a master."""

    def __init__(self, masters: Masters, master: RpcEndpointRef) -> None:
        self.env = masters.env("watcher")
        self.lost: list[tuple[float, RpcAddress]] = []
        self.watch = MasterWatch(self.env, TIMEOUT_S, self.note)
        self.master = master
        self.watch.follow(master)

    def note(self, address: RpcAddress) -> None:
        self.lost.append((self.env.world.monotonic(), address))


def with_watch(scenario: Callable[[Watching, Masters], Awaitable[None]]) -> None:
    async def run(masters: Masters) -> None:
        _, master, _ = await masters.master(7077)
        watching = Watching(masters, master)
        await scenario(watching, masters)
        watching.watch.follow(None)

    with_masters(run)


def test_a_master_that_answers_is_never_lost() -> None:
    async def scenario(watching: Watching, masters: Masters) -> None:
        await watching.env.world.sleep(100 * TIMEOUT_S)
        assert watching.lost == []

    with_watch(scenario)


def test_a_master_that_stands_still_is_lost_once_within_a_quarter_more_than_the_timeout() -> None:
    async def scenario(watching: Watching, masters: Masters) -> None:
        await watching.env.world.sleep(TIMEOUT_S)
        freeze(masters.envs[0])
        frozen_at = watching.env.world.monotonic()
        await watching.env.world.sleep(10 * TIMEOUT_S)
        ((lost_at, address),) = watching.lost
        assert address == watching.master.address
        assert TIMEOUT_S <= lost_at - frozen_at <= 1.25 * TIMEOUT_S

    with_watch(scenario)


def test_a_master_that_is_followed_no_more_is_not_asked() -> None:
    async def scenario(watching: Watching, masters: Masters) -> None:
        _, other, _ = await masters.master(7078)
        await watching.env.world.sleep(TIMEOUT_S)
        freeze(masters.envs[0])
        await watching.env.world.sleep(TIMEOUT_S / 2)
        watching.watch.follow(other)
        await watching.env.world.sleep(10 * TIMEOUT_S)
        assert watching.lost == []

    with_watch(scenario)


def test_a_watcher_that_was_suspended_itself_asks_before_it_believes() -> None:
    async def scenario(watching: Watching, masters: Masters) -> None:
        await watching.env.world.sleep(TIMEOUT_S)
        loop = watching.env.loop
        loop.now += 100 * TIMEOUT_S  # type: ignore[attr-defined]  # a virtual loop
        await watching.env.world.sleep(10 * TIMEOUT_S)
        assert watching.lost == []

    with_watch(scenario)
