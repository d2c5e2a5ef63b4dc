"""A master's machine with workers and applications that record what they are told, driven by hand."""

from random import Random
from typing import Any, TypeVar

from minispark.deploy.logic.cluster import MasterRules
from minispark.deploy.logic.effects import Effect, Forget, Persist, Reply, ScheduleLater, Send, Warn
from minispark.deploy.logic.membership import Membership
from minispark.ids import ApplicationId, DriverId, WorkerId
from minispark.messages.deploy import (
    DriverStateChanged,
    ExecutorAllotted,
    ExecutorStateChanged,
    LaunchDriver,
    LaunchExecutor,
    RegisterApplication,
    RegisteredApplication,
    RegisterWorker,
    ToMaster,
    WorkerHeartbeat,
)
from minispark.messages.deploy_clients import RequestSubmitDriver, SubmitDriverResponse
from minispark.messages.deploy_records import (
    CheckForWorkerTimeOut,
    ClusterEntry,
    CompleteRecovery,
    ElectedLeader,
    ScheduleAgain,
)
from minispark.messages.deploy_values import ApplicationDescription, DriverDescription, DriverState, ExecutorState
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.message import Message
from minispark.testing.fakes import RecordingRef

M = TypeVar("M", bound=Message)
E = TypeVar("E")

ToMachine = CheckForWorkerTimeOut | CompleteRecovery | ElectedLeader | ScheduleAgain

WALL_S = 1_795_320_306.0
URL = "minispark://master:7077"
MASTER_ADDRESS = RpcAddress("master", 7077)
MIB = 1 << 20


def describe_app(
    *,
    max_cores: int = 0,
    per_executor: int = 0,
    memory_mib: int = 512,
    limit: int = -1,
    realm: str = "app-1",
    name: str = "count words",
) -> ApplicationDescription:
    return ApplicationDescription(
        name, realm, "ann", RpcAddress("driver", 5000), max_cores, per_executor, memory_mib * MIB, limit, {}
    )


def describe_driver(*, cores: int = 1, memory_mib: int = 512, supervise: bool = False) -> DriverDescription:
    return DriverDescription(("-m", "job"), cores, memory_mib * MIB, supervise, {})


class ClusterHarness:
    """A master that leads; `check()` of its machine runs after every message."""

    def __init__(self, *entries: ClusterEntry, lead: bool = True, term: int = 1, **rules: Any) -> None:
        self.membership = Membership(
            MasterRules(**rules),
            Random(1),
            RecordingRef("Master", MASTER_ADDRESS),
            URL,
            lambda address: RecordingRef("Master", address),
        )
        self.cluster = self.membership.cluster
        self.now_s = 100.0
        self.effects: list[Effect] = []
        self.refs: dict[str, RecordingRef] = {}
        self.ports = 40_000
        if lead:
            self.tell(ElectedLeader(term, entries))

    # -- messages in ---------------------------------------------------------------------------------------------

    def tell(self, message: ToMaster | ToMachine) -> list[Effect]:
        """Give the machine a message; return what it wants done."""
        self.membership.handle(message, self.now_s, WALL_S + self.now_s)
        return self.perform()

    def disconnect(self, name: str) -> list[Effect]:
        """End the connection of a worker or an application."""
        address = self.refs[name].address
        assert address is not None
        self.membership.disconnected(address, self.now_s, WALL_S + self.now_s)
        return self.perform()

    def perform(self) -> list[Effect]:
        effects = self.membership.take_effects()
        self.membership.check()
        self.effects += effects
        for effect in effects:
            if isinstance(effect, Send):
                effect.to.send(effect.message)
        return effects

    def pause(self, early_s: float = 0.0) -> float:
        """Let the pause that the machine asked for last pass; return how long it was.

        Args:
            early_s: by how much the timer comes too soon.
        """
        pause_s = self.of(ScheduleLater)[-1].delay_s
        self.now_s += pause_s - early_s
        self.tell(ScheduleAgain())
        return pause_s

    def answer(self, message: ToMaster) -> Message:
        """Ask the machine; return its reply."""
        (reply,) = [effect.message for effect in self.tell(message) if isinstance(effect, Reply)]
        return reply

    # -- workers -------------------------------------------------------------------------------------------------

    def ref(self, name: str) -> RecordingRef:
        """Return the endpoint of a worker or an application, each with an address of its own."""
        if name not in self.refs:
            self.ports += 1
            self.refs[name] = RecordingRef(name, RpcAddress(name, self.ports))
        return self.refs[name]

    def worker(self, name: str = "w1", *, cores: int = 4, memory_mib: int = 4096, host: str = "") -> RecordingRef:
        """Register a worker."""
        ref = self.ref(name)
        self.tell(
            RegisterWorker(WorkerId(name), host or name, ref, cores, memory_mib * MIB, MASTER_ADDRESS, "", 7337)
        )
        return ref

    def heartbeat(self, name: str = "w1") -> None:
        self.tell(WorkerHeartbeat(WorkerId(name), self.ref(name)))

    def silence(self, seconds: float, *heard: str) -> None:
        """Let time pass, in which only these workers are heard and the scan runs as it does."""
        interval_s = self.cluster.rules.worker_timeout_s / 4
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s += interval_s
            for name in heard:
                self.heartbeat(name)
            self.tell(CheckForWorkerTimeOut())

    # -- applications --------------------------------------------------------------------------------------------

    def app(self, name: str = "a1", description: ApplicationDescription | None = None) -> ApplicationId:
        """Register an application; return its id."""
        ref = self.ref(name)
        self.tell(RegisterApplication(description or describe_app(realm=name), ref))
        return ref.of(RegisteredApplication)[-1].app_id

    def executor_is(
        self, app_id: ApplicationId, number: int, state: ExecutorState, exit_code: int | None = None
    ) -> None:
        self.tell(ExecutorStateChanged(app_id, number, state, "", exit_code))

    def run_all(self) -> None:
        """Let all executors that were launched run."""
        for executor in self.cluster.executors():
            if executor.state is ExecutorState.LAUNCHING:
                self.executor_is(executor.app.app_id, executor.number, ExecutorState.RUNNING)

    def launched(self, *workers: str) -> list[tuple[str, int]]:
        """Return (worker, cores) of every executor that was launched, by worker and number."""
        return [(name, order.cores) for name in workers for order in self.ref(name).of(LaunchExecutor)]

    def allotted(self, name: str = "a1") -> list[int]:
        """Return the numbers of the executors that an application was told of."""
        return [told.number for told in self.ref(name).of(ExecutorAllotted)]

    # -- drivers -------------------------------------------------------------------------------------------------

    def driver(self, description: DriverDescription | None = None) -> DriverId:
        """Submit a driver; return its id."""
        answer = self.answer(RequestSubmitDriver(description or describe_driver()))
        assert isinstance(answer, SubmitDriverResponse)
        return answer.driver_id

    def driver_is(self, driver_id: DriverId, state: DriverState, text: str = "") -> None:
        self.tell(DriverStateChanged(driver_id, state, text))

    def drivers_at(self, *workers: str) -> list[int]:
        """Return how many drivers each worker was told to launch."""
        return [len(self.ref(name).of(LaunchDriver)) for name in workers]

    # -- effects -------------------------------------------------------------------------------------------------

    def of(self, kind: type[E]) -> list[E]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    @property
    def warnings(self) -> list[str]:
        return [effect.text for effect in self.of(Warn)]

    def records(self) -> dict[str, ClusterEntry]:
        """Return what is on disk after all that was done."""
        kept: dict[str, ClusterEntry] = {}
        for effect in self.effects:
            if isinstance(effect, Persist):
                assert (effect.entry.key in kept) is not effect.is_new
                kept[effect.entry.key] = effect.entry
            elif isinstance(effect, Forget):
                kept.pop(effect.key, None)
        return kept
