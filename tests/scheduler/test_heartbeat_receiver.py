"""The cases of HeartbeatReceiverSuite."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from minispark.ids import ExecutorId, TaskId
from minispark.messages.heartbeat import (
    ExpireDeadExecutors,
    Heartbeat,
    HeartbeatResponse,
    TaskProgress,
    TaskSchedulerIsSet,
    ToHeartbeatReceiver,
)
from minispark.messages.scheduler import ExecutorAdded, ExecutorRemoved
from minispark.rpc.message import Message
from minispark.scheduler.heartbeat_receiver import HeartbeatReceiver
from minispark.testing.fakes import RecordingContext, RecordingRef
from minispark.testing.virtual_loop import VirtualWorld, run_virtual

ONE, TWO = ExecutorId("1"), ExecutorId("2")
TIMEOUT_S = 120.0
PROGRESS = TaskProgress(TaskId(7), 10.0, {"records_read": 100})


class House:
    """A receiver between a scheduler and a backend that record; make it inside of a running loop."""

    def __init__(self, *, replaces: bool = True) -> None:
        self.world = VirtualWorld()
        self.own, self.dag, self.tasks = (RecordingRef(name) for name in ("own", "DAGScheduler", "TaskScheduler"))
        self.replaced: list[tuple[ExecutorId, str]] = []
        self.heard: list[TaskProgress] = []
        self.receiver = HeartbeatReceiver(
            self.world, TIMEOUT_S, self.take_progress, (self.dag, self.tasks), self if replaces else None
        )
        self.receiver._ref = self.own
        self.receiver.on_start()

    def take_progress(self, tasks: Sequence[TaskProgress]) -> None:
        self.heard += tasks

    def kill_and_replace(self, executor_id: ExecutorId, reason: str) -> None:
        self.replaced.append((executor_id, reason))

    def tell(self, message: ToHeartbeatReceiver) -> list[Message]:
        context = RecordingContext(is_ask=isinstance(message, Heartbeat))
        self.receiver.receive(message, context)
        return context.replies

    def add(self, *executors: ExecutorId) -> None:
        for executor_id in executors:
            self.tell(ExecutorAdded(executor_id, f"host-{executor_id}"))

    def must_register(self, executor_id: ExecutorId, *tasks: TaskProgress) -> bool:
        (reply,) = self.tell(Heartbeat(executor_id, tasks))
        assert isinstance(reply, HeartbeatResponse)
        return reply.reregister

    def known(self) -> list[ExecutorId]:
        return list(self.receiver.heartbeats.last_seen)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and bring the receiver what it sends itself."""
        await self.world.sleep(seconds)
        for message in self.own.take():
            assert isinstance(message, ExpireDeadExecutors)
            self.tell(message)


def in_house(
    test: Callable[[House], Coroutine[Any, Any, None]], *, is_set: bool = True, replaces: bool = True
) -> None:
    """Run a test; the timer must end with the receiver."""

    async def main() -> None:
        house = House(replaces=replaces)
        if is_set:
            house.tell(TaskSchedulerIsSet())
        await test(house)
        house.receiver.on_stop()

    run_virtual(main())


@pytest.mark.scenario("HB-001", "scheduler set notification")
def test_the_receiver_hears_that_the_task_scheduler_is_there() -> None:
    async def test(house: House) -> None:
        assert not house.receiver.heartbeats.ready
        house.tell(TaskSchedulerIsSet())
        assert house.receiver.heartbeats.ready

    in_house(test, is_set=False)


@pytest.mark.scenario("HB-001", "normal heartbeat")
def test_a_heartbeat_of_a_known_executor_is_taken_with_the_progress_of_its_tasks() -> None:
    async def test(house: House) -> None:
        house.add(ONE, TWO)
        assert not house.must_register(ONE, PROGRESS)
        assert not house.must_register(TWO)
        assert house.heard == [PROGRESS]
        assert house.known() == [ONE, TWO]

    in_house(test)


@pytest.mark.scenario("HB-001", "re-register if scheduler not ready / unregistered / removed executor")
def test_before_the_scheduler_is_there_executors_must_register_again() -> None:
    async def test(house: House) -> None:
        house.add(ONE)
        assert house.must_register(ONE, PROGRESS)
        assert house.heard == []

    in_house(test, is_set=False)


@pytest.mark.scenario("HB-001", "re-register if scheduler not ready / unregistered / removed executor")
def test_an_executor_that_never_registered_or_was_removed_must_register() -> None:
    async def test(house: House) -> None:
        assert house.must_register(ONE, PROGRESS)
        assert house.known() == []
        house.add(ONE, TWO)
        house.tell(ExecutorRemoved(TWO, "host-2", "gone", False))
        assert not house.must_register(ONE)
        assert house.must_register(TWO, PROGRESS)
        assert house.known() == [ONE]
        assert house.heard == []

    in_house(test)


@pytest.mark.scenario("HB-001", "34273 not after stop")
def test_once_the_application_ends_nobody_registers_again() -> None:
    async def test(house: House) -> None:
        house.add(ONE)
        house.receiver.application_ends()
        assert not house.must_register(TWO)
        await house.pass_time(10 * TIMEOUT_S)
        assert house.replaced == []

    in_house(test)


@pytest.mark.scenario("HB-002", "dead hosts expired")
def test_an_executor_that_falls_silent_is_given_up_and_the_others_are_not() -> None:
    async def test(house: House) -> None:
        house.add(ONE, TWO)
        await house.pass_time(61)
        house.must_register(ONE)
        await house.pass_time(58)
        assert house.known() == [ONE, TWO]
        await house.pass_time(61)
        assert house.known() == [ONE]
        (removed,) = house.tasks.of(ExecutorRemoved)
        assert house.dag.of(ExecutorRemoved) == [removed]
        assert (removed.executor_id, removed.host, removed.caused_by_app) == (TWO, "host-2", True)

    in_house(test)


@pytest.mark.scenario("HB-002", "expiry kills with replacement (8119)")
def test_executors_that_are_given_up_are_killed_and_replaced() -> None:
    async def test(house: House) -> None:
        house.add(ONE, TWO)
        for _ in range(2):
            await house.pass_time(61)
        assert [executor_id for executor_id, _ in house.replaced] == [ONE, TWO]
        assert house.replaced[0][1] == "no heartbeat of it came for 122 s (minispark.network.timeout)"

    in_house(test)


def test_where_nothing_can_be_replaced_nobody_is_looked_for() -> None:
    async def test(house: House) -> None:
        house.add(ONE)
        assert house.receiver.timer is None
        await house.pass_time(10 * TIMEOUT_S)
        assert house.known() == [ONE]

    in_house(test, replaces=False)
