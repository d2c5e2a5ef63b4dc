"""What the worker does until the master has heard of an end."""

import asyncio
from collections.abc import Awaitable, Callable

from minispark.deploy.state_reports import RETRY_S, StateReports
from minispark.errors import RpcError
from minispark.ids import ApplicationId, DriverId
from minispark.messages.deploy import DriverStateChanged, ExecutorStateChanged
from minispark.messages.deploy_values import Acknowledged, DriverState, ExecutorState
from minispark.rpc.scope import TaskScope
from minispark.testing.fakes import RecordingRef
from minispark.testing.virtual_loop import VirtualWorld, run_virtual, settle

APP = ApplicationId("app-1")
RUNNING = ExecutorStateChanged(APP, 1, ExecutorState.RUNNING)
EXITED = ExecutorStateChanged(APP, 1, ExecutorState.EXITED, "exit code 0", 0)
OTHER = DriverStateChanged(DriverId("driver-1"), DriverState.FINISHED)


class House:
    def __init__(self) -> None:
        self.world = VirtualWorld()
        self.given_up: list[str] = []
        self.scope = TaskScope("test")
        self.master = RecordingRef("Master")
        self.reports = StateReports(self.world, self.scope, 3, self.given_up.append)

    @property
    def asked(self) -> list[object]:
        return [message for message, _ in self.master.asked]


def with_reports(scenario: Callable[[House], Awaitable[None]]) -> None:
    async def run() -> None:
        house = House()
        await scenario(house)
        await house.scope.close()

    run_virtual(run())


def test_reports_of_one_subject_wait_for_each_other_and_not_for_others() -> None:
    async def scenario(house: House) -> None:
        house.reports.follow(house.master)
        for report in (RUNNING, EXITED, OTHER):
            house.reports.add(report)
        await settle()
        assert house.asked == [RUNNING, OTHER]
        house.master.reply(Acknowledged())
        await settle()
        assert house.asked == [RUNNING, OTHER, EXITED]

    with_reports(scenario)


def test_a_report_that_failed_is_sent_again_to_whoever_leads_then() -> None:
    async def scenario(house: House) -> None:
        other = RecordingRef("another master", answer=lambda _: Acknowledged())
        house.reports.follow(house.master)
        house.reports.add(EXITED)
        await settle()
        house.master.fail(RpcError("gone"))
        house.reports.follow(other)
        await house.world.sleep(RETRY_S + 1)
        assert [message for message, _ in other.asked] == [EXITED]
        assert house.given_up == []
        await house.reports.settled()

    with_reports(scenario)


def test_what_was_asked_of_a_master_that_stands_still_is_asked_of_the_next_one() -> None:
    async def scenario(house: House) -> None:
        other = RecordingRef("another master", answer=lambda _: Acknowledged())
        house.reports.follow(house.master)
        house.reports.add(EXITED)
        await settle()
        house.reports.follow(house.master)
        assert house.master.open_asks == [EXITED]
        house.reports.follow(other)
        await house.reports.settled()
        assert [message for message, _ in other.asked] == [EXITED]

    with_reports(scenario)


def test_waiting_for_a_master_costs_no_attempts() -> None:
    async def scenario(house: House) -> None:
        house.reports.add(EXITED)
        await house.world.sleep(10_000.0)
        assert house.given_up == []
        house.reports.follow(house.master)
        await settle()
        assert house.asked == [EXITED]
        settled = asyncio.ensure_future(house.reports.settled())
        await settle()
        assert not settled.done()
        house.master.reply(Acknowledged(done=False, text="unknown executor"))
        await settled

    with_reports(scenario)


def test_a_report_that_fails_too_often_ends_the_worker() -> None:
    async def scenario(house: House) -> None:
        house.reports.follow(house.master)
        house.reports.add(EXITED)
        for _ in range(3):
            await house.world.sleep(RETRY_S + 1)
            house.master.fail(RpcError("busy"))
        await settle()
        assert house.given_up == ["the master does not take that executor app-1/1 is EXITED"]
        assert house.asked == [EXITED] * 3

    with_reports(scenario)
