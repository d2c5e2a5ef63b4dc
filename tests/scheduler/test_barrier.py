from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from minispark.ids import ExecutorId, StageId, TaskId
from minispark.messages.coordination import BarrierSynced, RequestToSync
from minispark.messages.scheduler import TaskEnded
from minispark.scheduler.barrier import BarrierCoordinator
from minispark.testing.builders import result_success
from minispark.testing.fakes import RecordingContext
from minispark.testing.virtual_loop import VirtualWorld, run_virtual

STAGE = StageId(7)
TIMEOUT_S = 10.0


def with_coordinator(test: Callable[[BarrierCoordinator, VirtualWorld], Coroutine[Any, Any, None]]) -> None:
    """Run a test with an attempt of two tasks; nothing may be left of it, nor a timer."""

    async def main() -> None:
        world = VirtualWorld()
        coordinator = BarrierCoordinator(world, TIMEOUT_S)
        coordinator.attempt_started(STAGE, 0, 2)
        await test(coordinator, world)
        coordinator.attempt_ended(STAGE, 0, True)
        coordinator.stage_gone(STAGE)
        coordinator.syncs.assert_empty()
        assert coordinator.timer is None

    run_virtual(main())


def come(coordinator: BarrierCoordinator, partition: int, epoch: int = 0, message: str = "") -> RecordingContext:
    context = RecordingContext()
    request = RequestToSync(STAGE, 0, TaskId(partition), partition, epoch, "all_gather", message)
    coordinator.receive(request, context)
    return context


def failure_of(waiter: RecordingContext) -> str:
    """Return what a task hears that waits in vain."""
    (reply,) = waiter.replies
    assert isinstance(reply, BarrierSynced)
    assert reply.messages == ()
    return reply.failure


def test_all_are_answered_when_the_last_one_comes() -> None:
    async def test(coordinator: BarrierCoordinator, world: VirtualWorld) -> None:
        first = come(coordinator, 1, message="b")
        assert first.replies == []
        assert coordinator.timer is not None
        second = come(coordinator, 0, message="a")
        assert first.replies == second.replies == [BarrierSynced(("a", "b"))]
        assert coordinator.timer is None

    with_coordinator(test)


@pytest.mark.scenario("BAR-005", "barrier timeout → error")
def test_a_wait_ends_with_an_error_at_its_deadline_and_not_before() -> None:
    async def test(coordinator: BarrierCoordinator, world: VirtualWorld) -> None:
        waiter = come(coordinator, 0)
        await world.sleep(TIMEOUT_S - 0.1)
        assert waiter.replies == []
        await world.sleep(0.2)
        assert "took more than 10 s" in failure_of(waiter)

    with_coordinator(test)


def test_each_sync_has_its_own_deadline() -> None:
    async def test(coordinator: BarrierCoordinator, world: VirtualWorld) -> None:
        come(coordinator, 0)
        await world.sleep(TIMEOUT_S - 1)
        come(coordinator, 1)
        later = come(coordinator, 0, epoch=1)
        await world.sleep(TIMEOUT_S - 1)
        assert later.replies == []
        assert come(coordinator, 1, epoch=1).replies == later.replies

    with_coordinator(test)


@pytest.mark.scenario("BAR-009", "coordinator state removed at stage completion")
def test_who_waits_hears_of_the_end_of_the_attempt() -> None:
    async def test(coordinator: BarrierCoordinator, world: VirtualWorld) -> None:
        waiter = come(coordinator, 0)
        coordinator.attempt_ended(STAGE, 0, False)
        assert waiter.replies == []  # a kill is under way, and comes first
        await world.sleep(1.1)
        assert failure_of(waiter) == "stage 7.0 has ended"
        assert not coordinator.syncs.attempts

    with_coordinator(test)


def test_who_waits_hears_of_the_end_of_a_task_that_will_not_come() -> None:
    async def test(coordinator: BarrierCoordinator, world: VirtualWorld) -> None:
        waiter = come(coordinator, 0)
        executor, host = ExecutorId("driver"), "localhost"
        coordinator.task_ended(TaskEnded(STAGE, 0, TaskId(1), 1, 0, 1, executor, host, 0, 0.0, result_success()))
        assert "unequal numbers" in failure_of(waiter)
        assert coordinator.timer is None

    with_coordinator(test)
