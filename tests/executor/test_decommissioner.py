import asyncio

import pytest

from minispark.executor.decommissioner import LINGER_S, Decommissioner
from minispark.messages.cluster import DecommissionExecutor
from minispark.messages.task import TaskState
from minispark.rpc.scope import TaskScope
from minispark.testing.virtual_loop import VirtualWorld, run_virtual, settle
from tests.executor.attempts import task
from tests.executor.executor_house import House, in_house


class Migrator:
    """Hands blocks over when the test says so."""

    def __init__(self, error: Exception | None = None) -> None:
        self.rounds = 0
        self.error = error
        self.go = asyncio.Event()

    async def migrate(self) -> int:
        self.rounds += 1
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return 1


class Home:
    """An executor's process that the test can see leave."""

    def __init__(self, *migrators: Migrator) -> None:
        self.idle = True
        self.left: list[str] = []
        self.decommissioner = Decommissioner(
            migrators, VirtualWorld(), TaskScope("test"), idle=lambda: self.idle, leave=self.left.append
        )


def test_an_idle_executor_without_blocks_leaves_after_a_moment() -> None:
    async def scenario() -> None:
        home = Home()
        home.decommissioner.begin("spot instance")
        await settle()
        assert home.left == []

        await asyncio.sleep(LINGER_S)
        assert home.left == ["spot instance"]

    run_virtual(scenario())


@pytest.mark.parametrize("error", [None, OSError("no peers")])
def test_all_kinds_of_blocks_are_handed_over_first_whatever_becomes_of_one(error: Exception | None) -> None:
    async def scenario() -> None:
        first, second = Migrator(error), Migrator()
        home = Home(first, second)
        home.decommissioner.begin("why")
        await asyncio.sleep(10)
        assert home.left == []

        first.go.set()
        second.go.set()
        await settle()
        assert (first.rounds, second.rounds, home.left) == (1, 1, ["why"])

    run_virtual(scenario())


def test_a_second_order_changes_nothing() -> None:
    async def scenario() -> None:
        home = Home()
        home.decommissioner.begin("first")
        home.decommissioner.begin("second")
        await asyncio.sleep(2 * LINGER_S)

        assert home.left == ["first"]

    run_virtual(scenario())


@pytest.mark.parametrize("ends_after_s", [0.0, LINGER_S / 2])
def test_an_order_changes_nothing_in_an_executor_that_ends_otherwise(ends_after_s: float) -> None:
    async def scenario() -> None:
        home = Home(Migrator()) if ends_after_s == 0.0 else Home()
        if ends_after_s:
            home.decommissioner.begin("why")
            await asyncio.sleep(ends_after_s)
        await home.decommissioner.scope.close()
        home.decommissioner.begin("why")
        await asyncio.sleep(2 * LINGER_S)

        assert home.left == []

    run_virtual(scenario())


@pytest.mark.scenario("DEC-001", "no decommission → normal")
def test_an_executor_that_is_not_told_to_go_runs_its_tasks_and_stays() -> None:
    async def test(house: House) -> None:
        left: list[str] = []
        house.executor.decommissioner.leave = left.append
        house.launch(task(1))
        await asyncio.sleep(200)

        assert house.updates()[-1] == (1, TaskState.FINISHED)
        assert (left, house.executor.decommissioner.begun) == ([], False)

    in_house(test, duration=100.0)


@pytest.mark.scenario("DEC-001", "running task on decommissioned worker finishes")
def test_a_task_that_runs_when_its_executor_is_decommissioned_finishes() -> None:
    async def test(house: House) -> None:
        left: list[str] = []
        house.executor.decommissioner.leave = left.append
        house.launch(task(1))
        await settle()

        house.tell(DecommissionExecutor("the host goes"))
        await asyncio.sleep(50)
        assert left == []

        await asyncio.sleep(60)
        assert house.updates()[-1] == (1, TaskState.FINISHED)
        assert left == ["the host goes"]

    in_house(test, duration=100.0)


def test_a_task_that_was_launched_before_its_driver_heard_runs_nevertheless() -> None:
    async def test(house: House) -> None:
        left: list[str] = []
        house.executor.decommissioner.leave = left.append
        house.tell(DecommissionExecutor("the host goes"))
        house.launch(task(1))
        await asyncio.sleep(50)
        assert left == []

        await asyncio.sleep(60)
        assert house.updates()[-1] == (1, TaskState.FINISHED)
        assert left == ["the host goes"]

    in_house(test, duration=100.0)
