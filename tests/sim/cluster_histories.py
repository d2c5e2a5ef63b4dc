"""Random histories of a whole cluster: jobs of one driver or a few, while processes die, links break and disks fail.

Everything comes from the seed; `ClusterHistory(seed).run()` either passes or raises with the seed and the end of its
trace. A history has at least 3 jobs, 2 shuffles, 100 tasks, 3 executors and 5 faults.
"""

import asyncio
import gc
import logging
import random
import zlib
from collections import deque

from minispark.messages.deploy_values import WorkerState
from minispark.messages.task import TaskDescription
from minispark.rpc.message import Message
from minispark.testing.recovery_store import MemoryStore
from minispark.testing.sim_loop import SimProcess
from minispark.testing.simulation import Simulation, run_simulation
from tests.sim.applications import Application
from tests.sim.cluster_faults import Faults
from tests.sim.drawn_settings import cluster_settings
from tests.sim.programs import Program

MIN_FAULTS = 5
NUM_APPLICATIONS = (1, 1, 2, 3)
GUEST_TASKS = 30
FAULTS_UNTIL_S = 40.0
REST_S = 30.0
SETTLE_ROUNDS = 20
CALM_ROUNDS = 2
TASKS_AT_REST = 4
KEPT_LINES = 60
GARBAGE_EVERY = 10


class ClusterHistoryFailed(AssertionError):
    """A history ended otherwise than it may; the text names the seed and shows the end of the trace."""


class ErrorLog(logging.Handler):
    """Keeps what components log of errors that nobody has handled."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        if record.name in ("minispark.rpc.dispatcher", "minispark.rpc.scope") or record.exc_info:
            self.records.append(record)


class ClusterHistory:
    """One history.

    Args:
        seed: of all chance.
        verbose: whether the whole trace is printed as it happens.

    Attributes:
        trace: a checksum of all messages, in order, with their times.
        applications: what runs on the cluster.
    """

    def __init__(self, seed: int, *, verbose: bool = False) -> None:
        self.seed = seed
        self.verbose = verbose
        self.rng = rng = random.Random(seed)
        self.applications = [Application("driver", rng, Program(rng), self.note)]
        for number in range(1, rng.choice(NUM_APPLICATIONS)):
            program = Program(rng, 10.0, min_tasks=GUEST_TASKS)
            self.applications.append(Application(f"driver-{number}", rng, program, self.note, is_guest=True))
        self.trace = 0
        self.messages = 0
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.virtual_s = 0.0
        self.pace = rng.choice([0.2, 1.0, 2.0])

    def duration(self, task: TaskDescription) -> float:
        """Draw how long an attempt takes."""
        return self.pace * self.rng.expovariate(1.0) if self.rng.random() < 0.98 else self.rng.uniform(5.0, 20.0)

    @property
    def failures(self) -> list[BaseException]:
        """The errors of jobs that were given up."""
        return [error for application in self.applications for error in application.failures]

    # -- what happens ------------------------------------------------------------------------------------------------

    def run(self) -> "ClusterHistory":
        """Let the history happen.

        Raises:
            ClusterHistoryFailed: something was not as it must be.
        """
        log = ErrorLog()
        logger = logging.getLogger("minispark")
        logger.addHandler(log)
        collects = gc.isenabled()  # or the process ends soon, and its memory goes with it
        gc.disable()
        try:
            run_simulation(self.scenario, self.seed, settings=cluster_settings(self.rng), duration=self.duration)
            assert not log.records, f"errors that nobody handled: {[each.getMessage() for each in log.records]}"
        except BaseException as error:
            tail = "\n".join(self.lines)
            unhandled = "".join(f"\nlogged: {logging.Formatter().format(record)}" for record in log.records[:3])
            raise ClusterHistoryFailed(
                f"cluster history {self.seed} failed: {type(error).__name__}: {error}\n{tail}{unhandled}"
            ) from error
        finally:
            logger.removeHandler(log)
            if collects:
                gc.enable()
                if self.seed % GARBAGE_EVERY == 0:
                    gc.collect()
        return self

    async def scenario(self, simulation: Simulation) -> None:
        """Build a cluster, let things happen, look at what is left."""
        rng = self.rng
        self.simulation = simulation
        simulation.observer = self.observe
        simulation.network.jitter_s = rng.choice([0.0, 0.001, 0.05])
        self.faults = Faults(simulation, random.Random(f"{self.seed} faults"), self.note)
        self.build()
        await simulation.pass_time(rng.uniform(0.0, 3.0))
        for _ in range(rng.randint(MIN_FAULTS, 9)):
            self.faults.later(rng.uniform(0.5, FAULTS_UNTIL_S), self.faults.strike)
        await asyncio.gather(*(each.run(simulation, self.faults) for each in self.applications))
        await self.settle()
        self.virtual_s = simulation.loop.now
        self.assert_ended()

    def build(self) -> None:
        """Start masters and workers, with clocks that differ."""
        rng, simulation = self.rng, self.simulation
        num_masters = rng.choice([1, 2, 3])
        simulation.store = MemoryStore()
        names = [*(f"master-{n}" for n in range(num_masters)), *(f"host-{n}" for n in range(rng.randint(3, 4)))]
        for name in [*names, *(application.name for application in self.applications)]:
            host = simulation.host(name)
            host.clock_offset_s, host.uptime_s = rng.uniform(-100.0, 100.0), rng.uniform(0.0, 1e5)
        for name in names[:num_masters]:
            simulation.add_master(name).restart_s = rng.choice([1.0, 5.0, 30.0])
        for name in names[num_masters:]:
            simulation.add_worker(name, cores=rng.choice([2, 3])).restart_s = rng.choice([1.0, 5.0, 30.0])

    async def settle(self) -> None:
        """Let the cluster come to rest: all faults have healed, all that was killed is there again."""
        simulation = self.simulation
        while simulation.loop.now < self.faults.until_s:  # a fault that is yet to come lasts, too
            await simulation.pass_time(self.faults.until_s - simulation.loop.now + REST_S)
        calm = 0  # twice in a row: a worker of a host that is about to come back may still be in the master's books
        for _ in range(SETTLE_ROUNDS):
            try:
                self.assert_at_rest()
            except AssertionError:
                calm = 0
            else:
                calm += 1
            if calm == CALM_ROUNDS:
                break
            await simulation.pass_time(REST_S)

    # -- what is asserted --------------------------------------------------------------------------------------------

    def observe(self, now: float, process: SimProcess, endpoint: str, message: Message) -> None:
        """Note a message."""
        self.messages += 1
        name = message.__class__.__name__
        self.note(f"{process} {endpoint} {name}" + (f" {message!r}" if self.verbose else ""))

    def note(self, text: str) -> None:
        """Add a line to the trace."""
        line = f"{self.simulation.loop.now:.6f} {text}"
        self.trace = zlib.crc32(line.encode(), self.trace)
        self.lines.append(line)
        if self.verbose:
            print(line, flush=True)  # noqa: T201 — asked for

    def assert_ended(self) -> None:
        """Assert that each job ended as it may, and that nothing is left."""
        simulation = self.simulation
        assert not simulation.loop.errors, f"errors of the loop: {simulation.loop.errors}"
        for application in self.applications:
            application.assert_ended()
        self.assert_at_rest()

    def assert_at_rest(self) -> None:
        """Assert that the cluster has nothing to do, and that all of it is there."""
        executors = self.simulation.executors
        assert not executors, f"executors outlive their application: {executors}"
        self.assert_masters()
        self.assert_workers()
        self.assert_nothing_outlives()

    def assert_nothing_outlives(self) -> None:
        """Assert that nothing is left of applications on disks, in memory and in the processes that live on."""
        simulation = self.simulation
        sessions = list((simulation.directory / "tmpfs").iterdir())
        if not simulation.conf().shuffle_service:
            # A service that was down when an application ended keeps what it serves until it is old.
            sessions += simulation.directory.glob("host-*/app-*/*/minispark-*")
        assert not sessions, f"sessions of executors that have ended: {sessions}"
        for process in simulation.processes:
            tasks = [task.get_name() for task in simulation.loop.tasks_of(process)] if process.is_alive else []
            # A peer whose host was switched off does not end its channel; only TCP's keepalive would.
            busy = [name for name in tasks if not name.startswith("bulk channel of")]
            assert len(busy) <= TASKS_AT_REST, f"{process} has something to do: {busy}"

    def assert_masters(self) -> None:
        """Assert that one master leads, and that its books say that nothing runs."""
        leaders = self.simulation.leaders
        assert len(leaders) == 1, f"{len(leaders)} masters lead"
        running = leaders[0].running
        assert running is not None
        machine = running.endpoint.machine
        machine.check()
        cluster = machine.cluster
        assert not cluster.apps, f"applications that have ended: {list(cluster.apps)}"
        assert not cluster.executors(), f"executors that have ended: {cluster.executors()}"
        hosts = sorted(worker.entry.host for worker in cluster.workers.values() if worker.state is WorkerState.ALIVE)
        wanted = sorted(worker.host.name for worker in self.simulation.workers)
        assert hosts == wanted, f"workers {hosts} registered instead of {wanted}"

    def assert_workers(self) -> None:
        """Assert that the workers' books say so, too."""
        for worker in self.simulation.workers:
            endpoint = None if worker.running is None else worker.running.worker
            assert endpoint is not None, f"{worker.host.name} is gone"
            assert worker.process.is_alive, f"{worker.host.name} is down"
            tenants = endpoint.tenants
            tenants.state.check()
            left = [*tenants.executors, *(task.get_name() for task in tenants.running)]
            assert not left, f"{worker.host.name} runs {left}"
            assert tenants.state.is_idle
            assert not tenants.state.decommissioned, f"{worker.host.name} was to go, and is still there"


def run_all(first: int, count: int) -> list[ClusterHistoryFailed]:
    """Run histories; return those that failed."""
    failed = []
    for seed in range(first, first + count):
        try:
            ClusterHistory(seed).run()
        except ClusterHistoryFailed as error:
            failed.append(error)
    return failed
