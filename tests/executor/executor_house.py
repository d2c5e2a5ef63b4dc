"""An executor between refs that record, with an inline pool: what the tests of it share."""

from collections.abc import Callable, Coroutine
from typing import Any

from minispark.executor.executor import Executor
from minispark.executor.inline_pool import InlinePool
from minispark.executor.questions import DriverRefs
from minispark.ids import ExecutorId, StageId, TaskId
from minispark.messages import task as values
from minispark.messages.cluster import (
    BinaryContent,
    KillTask,
    LaunchTasks,
    StatusUpdate,
    StopExecutor,
    ToExecutor,
)
from minispark.messages.coordination import AskPermissionToCommit
from minispark.messages.runner import (
    AnswerFailed,
    RunnerReply,
)
from minispark.messages.task import RunnerLost, TaskOutcome, TaskState
from minispark.rpc.scope import TaskScope
from minispark.testing.fakes import RecordingContext, RecordingRef
from minispark.testing.virtual_loop import VirtualWorld, run_virtual
from tests.executor.attempts import binary, conf, location

__all__ = ["COMMIT", "CRASH", "EXECUTOR_ID", "NOTHING", "House", "WatchedPool", "in_house"]

EXECUTOR_ID = ExecutorId("exec-1")
NOTHING = binary(lambda *_: None)
COMMIT = AskPermissionToCommit(StageId(1), 0, 2, 3)
CRASH = RunnerLost(None, 11, "Fatal Python error: Segmentation fault")


class WatchedPool(InlinePool):
    """An inline pool that keeps what it was told."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.dispatched: list[tuple[int, int]] = []
        self.answered: list[object] = []

    def run(self, slot: int, task: values.TaskDescription) -> None:
        self.dispatched.append((slot, task.task_id))
        super().run(slot, task)

    def answer(self, slot: int, ask_id: int, answer: RunnerReply | AnswerFailed) -> None:
        self.answered.append(answer)
        super().answer(slot, ask_id, answer)


class House:
    """An executor with an inline pool, between refs that record; the binary server knows one binary for all."""

    def __init__(self, *, slots: int, duration: float, data: bytes | None, affinity: int | None, **settings: object):
        world = VirtualWorld()
        self.backend = RecordingRef("backend")
        answer = None if data is None else lambda ask: BinaryContent(ask.binary_id, data)
        self.binary_server = RecordingRef("BinaryServer", answer=answer)
        self.tracker = RecordingRef("MapOutputTracker")
        self.heartbeats = RecordingRef("HeartbeatReceiver")
        self.commits, self.barriers = RecordingRef("OutputCommitCoordinator"), RecordingRef("barrierSync")
        self.pool = WatchedPool(slots, conf(**settings), location(), world, duration=lambda _: duration)
        self.executor = Executor(
            EXECUTOR_ID,
            self.pool,
            self.backend,
            DriverRefs(self.binary_server, self.tracker, self.commits, self.barriers, self.heartbeats),
            conf=conf(**settings),
            location=location(),
            world=world,
            scope=TaskScope("test"),
        )
        self.executor.affinity = lambda _: affinity

    def tell(self, message: ToExecutor) -> RecordingContext:
        context = RecordingContext(is_ask=isinstance(message, StopExecutor))
        self.executor.receive(message, context)
        self.check()
        return context

    def launch(self, *tasks: values.TaskDescription) -> None:
        self.tell(LaunchTasks(tasks))

    def kill(self, task_id: int, interrupt: bool = True) -> None:
        self.tell(KillTask(TaskId(task_id), EXECUTOR_ID, interrupt, "why"))

    def check(self) -> None:
        self.executor.slots.check()
        self.executor.preparation.check()

    def updates(self) -> list[tuple[int, TaskState]]:
        return [(update.task_id, update.state) for update in self.backend.of(StatusUpdate)]

    def outcome(self) -> TaskOutcome:
        """Return the only outcome."""
        (outcome,) = [update.outcome for update in self.backend.of(StatusUpdate) if update.outcome is not None]
        return outcome


def in_house(
    test: Callable[[House], Coroutine[Any, Any, None]],
    *,
    slots: int = 2,
    duration: float = 0.0,
    data: bytes | None = NOTHING,
    affinity: int | None = None,
    **settings: object,
) -> None:
    """Run a test with an executor; at the end nothing may be left in it."""

    async def main() -> None:
        house = House(slots=slots, duration=duration, data=data, affinity=affinity, **settings)
        await house.executor.start()
        await test(house)
        house.check()
        house.executor.slots.assert_empty()
        house.executor.preparation.assert_empty()

    run_virtual(main())
