"""A TaskScheduler with a recording DAGScheduler and a backend of so many cores, driven by hand."""

from minispark.conf import SparkConf
from minispark.ids import BinaryId, ExecutorId, TaskId
from minispark.messages.cluster import StatusUpdate
from minispark.messages.scheduler import TaskEnded, TaskSetFailed, ToTaskScheduler
from minispark.messages.task import (
    DirectResult,
    IndirectResult,
    Success,
    TaskDescription,
    TaskEndReason,
    TaskKilled,
    TaskOutcome,
    TaskState,
)
from minispark.rpc.message import Message
from minispark.rpc.scope import TaskScope
from minispark.scheduler.backend import WorkerOffer
from minispark.scheduler.listener_bus import ListenerBus
from minispark.scheduler.logic.pool import Mode, PoolTree
from minispark.scheduler.task_scheduler import TaskScheduler
from minispark.testing.fakes import RecordingContext, RecordingRef
from minispark.testing.virtual_loop import VirtualWorld, settle

DRIVER = ExecutorId("driver")


class FakeBackend:
    """Counts revivals, records kills."""

    def __init__(self) -> None:
        self.revived = 0
        self.kills: list[tuple[int, bool, str]] = []

    def revive_offers(self) -> None:
        self.revived += 1

    def kill_task(self, task_id: TaskId, executor_id: ExecutorId, interrupt: bool, reason: str) -> None:
        self.kills.append((task_id, interrupt, reason))

    @property
    def max_concurrent_tasks(self) -> int:
        return 4

    async def stop(self) -> None:
        raise AssertionError("nobody stops this backend")


class NoPayloads:
    """Partitions are nothing but numbers."""

    def partition_data(self, binary_id: BinaryId, partition: int) -> bytes:
        return b""


class SchedulerHarness:
    """Make it inside of a running loop."""

    def __init__(self, conf: SparkConf | None = None, max_failures: int = 1, pools: PoolTree | None = None) -> None:
        self.dag = RecordingRef("DAGScheduler")
        self.own = RecordingRef("TaskScheduler")
        self.backend = FakeBackend()
        self.stored: dict[str, DirectResult | OSError] = {}
        self.read: list[str] = []
        self.scheduler = TaskScheduler(
            conf or SparkConf(),
            max_failures,
            VirtualWorld(),
            TaskScope("test"),
            self.dag,
            NoPayloads(),
            self.read_result,
            ListenerBus(VirtualWorld()),
            pools or PoolTree(Mode.FIFO),
        )
        self.scheduler._ref = self.own
        self.scheduler.attach(self.backend)

    async def read_result(self, result: IndirectResult) -> DirectResult | None:
        self.read.append(result.block_id)
        found = self.stored.get(result.block_id)
        if isinstance(found, OSError):
            raise found
        return found

    def tell(self, message: ToTaskScheduler) -> None:
        self.scheduler.receive(message, RecordingContext(is_ask=False))
        self.scheduler.check()

    def ask(self, message: ToTaskScheduler) -> Message:
        """Return the scheduler's reply."""
        context = RecordingContext()
        self.scheduler.receive(message, context)
        self.scheduler.check()
        (reply,) = context.replies
        return reply

    def offer(self, cores: int = 4, executor: str = "driver") -> list[TaskDescription]:
        return self.scheduler.resource_offers([WorkerOffer(ExecutorId(executor), "localhost", cores)])

    def end(self, task: TaskDescription, outcome: TaskOutcome) -> None:
        state = TaskState.FINISHED if isinstance(outcome, Success) else TaskState.FAILED
        state = TaskState.KILLED if isinstance(outcome, TaskKilled) else state
        self.scheduler.status_update(StatusUpdate(DRIVER, task.task_id, state, outcome))
        self.scheduler.check()

    async def fetched(self) -> None:
        """Let fetches finish and hand their messages over."""
        await settle()
        for message in self.own.take():
            self.scheduler.receive(message, RecordingContext(is_ask=False))  # type: ignore[arg-type]

    def reasons(self) -> list[TaskEndReason]:
        return [message.reason for message in self.dag.of(TaskEnded)]

    def aborts(self) -> list[TaskSetFailed]:
        return self.dag.of(TaskSetFailed)
