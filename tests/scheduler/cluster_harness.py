"""A cluster's backend over a real TaskScheduler; executors and the others that hear of them only record."""

from collections.abc import Callable, Sequence

from minispark.conf import SparkConf
from minispark.ids import ApplicationId, ExecutorId
from minispark.messages.cluster import (
    ApplicationConf,
    LaunchedExecutor,
    LaunchTasks,
    RegisterExecutor,
    StatusUpdate,
    ToDriver,
)
from minispark.messages.scheduler import ReviveOffers, ToTaskScheduler
from minispark.messages.task import BlockManagerId, TaskDescription, TaskState
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.scope import TaskScope
from minispark.scheduler.cluster_backend import CoarseGrainedSchedulerBackend
from minispark.scheduler.coarse_grained import Audience, DriverEndpoint, DriverRules
from minispark.testing.builders import result_success
from minispark.testing.fakes import RecordingContext, RecordingRef
from minispark.testing.virtual_loop import VirtualWorld, settle
from tests.scheduler.scheduler_harness import SchedulerHarness

__all__ = ["APPLICATION", "ClusterHarness", "FakeProvisioner"]

APPLICATION = ApplicationConf(ApplicationId("app-1"), {"minispark.app.name": "test"}, ("/lib",), "/home")


class FakeProvisioner:
    """Keeps what is asked of it; takes everything unless told otherwise."""

    def __init__(self) -> None:
        self.totals: list[int] = []
        self.kills: list[list[ExecutorId]] = []
        self.takes = True
        self.stopped = 0

    async def request_total_executors(self, total: int) -> bool:
        self.totals.append(total)
        return self.takes

    async def kill_executors(self, executor_ids: Sequence[ExecutorId]) -> bool:
        self.kills.append(list(executor_ids))
        return self.takes

    async def stop(self) -> None:
        self.stopped += 1


class ClusterHarness:
    """Make it inside of a running loop."""

    def __init__(
        self,
        rules: DriverRules | None = None,
        conf: SparkConf | None = None,
        *,
        refuses: Callable[[ExecutorId, str], bool] = lambda executor_id, host: False,
        force_kill_s: float | None = None,
    ) -> None:
        self.harness = SchedulerHarness(conf, max_failures=2)
        self.scheduler = self.harness.scheduler
        self.own = RecordingRef("CoarseGrainedScheduler")
        self.tasks, self.dag = RecordingRef("TaskScheduler"), RecordingRef("DAGScheduler")
        self.heartbeats, self.blocks = RecordingRef("HeartbeatReceiver"), RecordingRef("BlockManagerMaster")
        self.executors: dict[str, RecordingRef] = {}
        self.endpoint = DriverEndpoint(rules or DriverRules(), VirtualWorld(), lambda: APPLICATION)
        self.endpoint._ref = self.own
        self.endpoint.audience = Audience(
            self.scheduler,
            self.tasks,
            self.dag,
            self.heartbeats,
            self.blocks,
            lambda: bool(self.scheduler.sets_of_stage),
            refuses,
        )
        self.provisioner = FakeProvisioner()
        self.backend = CoarseGrainedSchedulerBackend(self.endpoint, VirtualWorld(), 5.0, force_kill_s)
        self.backend.provisioner, self.backend.scope = self.provisioner, TaskScope("test")
        self.scheduler.attach(self.backend)
        self.endpoint.on_start()

    # -- what executors do -------------------------------------------------------------------------------------------

    def tell(self, message: ToDriver | ReviveOffers) -> RecordingContext:
        context = RecordingContext()
        self.endpoint.receive(message, context)
        self.endpoint.table.check()
        return context

    def register(self, name: str, cores: int = 2, host: str = "") -> RecordingContext:
        """Let an executor register; `127.0.0.1:9001` is where executor 1 listens."""
        host = host or f"host-{name}"
        ref = self.executors.setdefault(name, RecordingRef("Executor", self.address(name)))
        location = BlockManagerId(ExecutorId(name), host, 9000 + int(name), f"/tmp/{name}")
        return self.tell(RegisterExecutor(ExecutorId(name), ref, host, cores, location, {}))

    def add(self, *names: str, cores: int = 2, host: str = "") -> None:
        """Let executors register and launch, and the schedulers hear of it."""
        for name in names:
            assert self.register(name, cores, host).failures == []
            self.tell(LaunchedExecutor(ExecutorId(name)))
        self.hear()

    def address(self, name: str) -> RpcAddress:
        return RpcAddress("127.0.0.1", 9000 + int(name))

    def cut(self, name: str) -> None:
        self.endpoint.on_disconnected(self.address(name))

    def end(self, task: TaskDescription) -> None:
        self.tell(StatusUpdate(task.executor_id, task.task_id, TaskState.FINISHED, result_success()))

    # -- what the driver does ----------------------------------------------------------------------------------------

    def hear(self) -> None:
        """Let the TaskScheduler and the endpoint handle what was sent to them."""
        while self.tasks.sent or self.own.sent:
            for message in self.tasks.take():
                self.harness.tell(message)  # type: ignore[arg-type]
            for message in self.own.take():
                self.tell(message)  # type: ignore[arg-type]

    def submit(self, message: ToTaskScheduler) -> None:
        self.harness.tell(message)
        self.hear()

    def launched(self, name: str) -> list[TaskDescription]:
        return [task for message in self.executors[name].of(LaunchTasks) for task in message.tasks]

    async def done(self) -> None:
        """Let what was spawned run, then handle what came of it."""
        await settle()
        self.hear()
