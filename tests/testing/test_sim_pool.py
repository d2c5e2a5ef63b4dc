from typing import Any

from minispark.conf import SparkConf
from minispark.ids import ExecutorId, TaskId
from minispark.messages.coordination import AskPermissionToCommit, PermissionToCommit
from minispark.messages.task import BlockManagerId, TaskKilled
from minispark.testing.sim_pool import SimPool
from minispark.testing.virtual_loop import VirtualWorld, run_virtual
from tests.executor.attempts import task


class Events:
    """Hears of a pool; answers when the test says so."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.outcomes: list[Any] = []

    def runner_ready(self, slot: int) -> None: ...

    def task_started(self, slot: int, task_id: TaskId) -> None: ...

    def task_finished(self, slot: int, task_id: TaskId, outcome: Any) -> None:
        self.outcomes.append(outcome)

    def runner_asked(self, slot: int, task_id: TaskId, ask_id: int, request: Any) -> None:
        self.asked.append(ask_id)

    def runner_lost(self, slot: int, task_id: TaskId | None, loss: Any) -> None:
        self.outcomes.append(loss)


async def asking_pool(world: VirtualWorld, events: Events) -> SimPool:
    """Return a pool whose first slot runs a task that asks something and returns the answer."""
    location = BlockManagerId(ExecutorId("1"), "host", 1, "/nowhere")
    pool = SimPool(1, SparkConf(), location, world, duration=lambda task: 2.0)
    await pool.start(events)

    def run(task: Any) -> Any:
        return pool.ask(0, AskPermissionToCommit(task.stage_id, 0, 0, 0))

    pool.runners[0].run = run  # type: ignore[method-assign]
    pool.run(0, task(1))
    await world.sleep(1)
    return pool


def test_a_task_waits_for_its_answer_while_time_passes() -> None:
    async def scenario() -> None:
        world, events = VirtualWorld(), Events()
        pool = await asking_pool(world, events)
        await world.sleep(10)
        pool.answer(0, events.asked[0], PermissionToCommit(True))
        await world.sleep(1)
        assert events.outcomes == []
        await world.sleep(2)
        assert events.outcomes == [PermissionToCommit(True)]

    run_virtual(scenario())


def test_a_killed_task_unwinds_and_a_late_answer_finds_nobody() -> None:
    async def scenario() -> None:
        world, events = VirtualWorld(), Events()
        pool = await asking_pool(world, events)
        pool.kill(0, TaskId(1), True, "enough")
        await world.sleep(1)
        pool.answer(0, events.asked[0], PermissionToCommit(True))
        await world.sleep(10)
        assert events.outcomes == [TaskKilled("enough")]
        await pool.stop(0.0)
        assert pool.sim_runs == {}

    run_virtual(scenario())


def test_no_attempt_looks_at_the_memory_of_this_process() -> None:
    location = BlockManagerId(ExecutorId("1"), "host", 1, "/nowhere")
    conf = SparkConf()
    pool = SimPool(1, conf, location, VirtualWorld(), duration=lambda task: 0.0)
    assert (pool.conf.executor_pool, conf.executor_pool) == ("inline", "process")
