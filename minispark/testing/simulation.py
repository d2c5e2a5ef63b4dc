"""A whole cluster in one process, in virtual time, from a seed: masters, workers, executors, drivers.

All of it is the real thing: `start_master`, `start_worker`, the SparkContext in cluster mode and ExecutorProcess run
as simulated processes on simulated hosts. Tests say what happens when (`tests/sim`), and what must hold then.
"""

import asyncio
import contextlib
import random
import shutil
import signal
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from minispark import context as context_module
from minispark.conf import SparkConf
from minispark.context import SparkContext
from minispark.deploy.master_process import MasterProcess, start_master
from minispark.deploy.worker_process import WorkerOptions, WorkerProcess, start_worker
from minispark.driver import Driver
from minispark.errors import MiniSparkError
from minispark.executor.inline_pool import Duration
from minispark.rpc.endpoint import CallContext
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.message import Message
from minispark.storage import memory_folder
from minispark.testing.recovery_store import MemoryStore
from minispark.testing.sim_loop import SimLoop, SimProcess
from minispark.testing.sim_network import SimNetwork
from minispark.testing.sim_processes import SimLauncher
from minispark.testing.sim_world import SimHost, SimWorld
from minispark.testing.virtual_loop import VirtualWorld

__all__ = ["SimContext", "SimMaster", "SimWorker", "Simulation", "run_simulation"]

T = TypeVar("T")

MASTER_PORT = 7077
SECRET = b"the secret of a simulated cluster"
GIB = 1 << 30
FAST_STORE = "/dev/shm"
REAL_TMPFS = memory_folder.TMPFS

Observer = Callable[[float, SimProcess, str, Message], object]


class SimContext(SparkContext):
    """A SparkContext whose driver's messages the simulation sees."""

    observe: Callable[[RpcEnv], object] = staticmethod(lambda env: None)

    async def start(self) -> Self:
        """Start; that contexts of other simulated processes are active is nothing to it."""
        context_module.active = None
        return await super().start()

    async def make_driver(self) -> Driver:
        """Make the driver; its env is shown as soon as it is there."""
        driver = await super().make_driver()
        open_env = driver.mode.open_env

        async def opened() -> RpcEnv:
            env = await open_env()
            self.observe(env)
            return env

        driver.mode.open_env = opened  # type: ignore[method-assign]
        return driver


@dataclass(eq=False)
class SimMaster:
    """A master that is started again when it has ended, unless told otherwise.

    Attributes:
        process: the one of now.
        running: what it is, once it listens.
        exits: why masters here ended by themselves.
        restart_s: after how long another one is started; None: never.
    """

    host: SimHost
    process: SimProcess
    running: MasterProcess | None = None
    exits: list[str] = field(default_factory=list)
    restart_s: float | None = 3.0

    @property
    def address(self) -> RpcAddress:
        """Where it listens."""
        return RpcAddress(self.host.name, MASTER_PORT)

    @property
    def leads(self) -> bool:
        """Whether it takes itself for the leader, and may."""
        running = self.running
        if running is None or not self.process.is_alive or running.endpoint.ended.done():
            return False
        if not hasattr(running.endpoint, "machine"):
            return False  # it has not even begun
        election = running.endpoint.election
        return election is None or (election.holds() and running.endpoint.machine.cluster.term > 0)


@dataclass(eq=False)
class SimWorker:
    """A worker that is started again when it has ended, unless told otherwise; see SimMaster."""

    host: SimHost
    process: SimProcess
    launcher: SimLauncher
    running: WorkerProcess | None = None
    exits: list[str] = field(default_factory=list)
    restart_s: float | None = 3.0


class Simulation:
    """A cluster from a seed; use it with `run_simulation`, or make it inside a SimLoop and `close` it.

    Args:
        loop: runs it.
        seed: of all chance.
        settings: of masters, workers and drivers, without `minispark.`.
        duration: how long attempts take.

    Attributes:
        hosts: by name.
        store: what the masters share.
        observer: if set, is shown every message: time, process, endpoint, message.
    """

    def __init__(
        self, loop: SimLoop, seed: int, settings: dict[str, object] | None = None, duration: Duration | None = None
    ) -> None:
        self.loop = loop
        self.seed = seed
        self.rng = random.Random(seed)
        self.network = SimNetwork(loop, random.Random(f"{seed} network"))
        self.clock = VirtualWorld(seed, self.network)
        parent = FAST_STORE if Path(FAST_STORE).is_dir() else None
        self.directory = Path(tempfile.mkdtemp(prefix="minispark-simulation-", dir=parent))
        memory_folder.TMPFS = self.directory / "tmpfs"
        memory_folder.TMPFS.mkdir()
        secret_file = self.directory / "secret"
        secret_file.touch(mode=0o600)
        secret_file.write_bytes(SECRET)
        self.settings = {
            "minispark.authenticate.secretFile": str(secret_file),
            "minispark.local.dir": str(self.directory),
            "minispark.ui.showConsoleProgress": False,
            **{f"minispark.{key}": value for key, value in (settings or {}).items()},
        }
        self.duration: Duration = duration or (lambda task: 0.01)
        self.hosts: dict[str, SimHost] = {}
        self.store: MemoryStore | None = None
        self.masters: list[SimMaster] = []
        self.workers: list[SimWorker] = []
        self.processes: list[SimProcess] = []
        self.contexts: dict[SimProcess, SimContext] = {}
        self.observer: Observer | None = None

    # -- hosts and processes -----------------------------------------------------------------------------------------

    def conf(self) -> SparkConf:
        """Return settings of a process."""
        return SparkConf(self.settings, environment={})

    def host(self, name: str) -> SimHost:
        """Return a host; one that is named first comes into being."""
        if name not in self.hosts:
            self.hosts[name] = SimHost(name, f"{self.directory / name}/")
        return self.hosts[name]

    def process(self, name: str, host: SimHost) -> tuple[SimProcess, SimWorld]:
        """Make a process with its world; what there was under its name gets a number."""
        process = SimProcess(self.loop, f"{name} #{len(self.processes)}", host.name)
        process.on_end.append(lambda code: self.network.process_ended(process))
        self.processes.append(process)
        return process, SimWorld(self.seed, self.network, host, process)

    def observe(self, process: SimProcess, env: RpcEnv) -> None:
        """Show the observer what an env's endpoints get."""

        def shown(endpoint: str, message: Message, context: CallContext) -> None:
            if self.observer is not None:
                self.observer(self.loop.now, process, endpoint, message)

        env.dispatcher.observer = shown

    # -- masters -----------------------------------------------------------------------------------------------------

    def add_master(self, name: str) -> SimMaster:
        """Start a master on a host of its own; with more than one, or `standby`, they share records."""
        host = self.host(name)
        process, world = self.process("master", host)
        master = SimMaster(host, process)
        self.masters.append(master)
        process.spawn(self.be_master(master, process, world))
        self.restart_when_ended(master, process, self.start_master_again)
        return master

    def start_master_again(self, master: SimMaster) -> None:
        """Start a master in the place of one that has ended."""
        process, world = self.process("master", master.host)
        master.process, master.running = process, None
        process.spawn(self.be_master(master, process, world))
        self.restart_when_ended(master, process, self.start_master_again)

    async def be_master(self, master: SimMaster, process: SimProcess, world: SimWorld) -> None:
        """What `minispark master` does."""
        running = await start_master(
            world, self.conf(), SECRET, host=master.host.name, port=MASTER_PORT, store=self.store
        )
        self.observe(process, running.env)
        master.running = running
        master.exits.append(await running.wait())
        process.end(1)

    # -- workers -----------------------------------------------------------------------------------------------------

    def add_worker(self, name: str, cores: int = 2, memory_bytes: int = 8 * GIB) -> SimWorker:
        """Start a worker on a host of its own."""
        host = self.host(name)
        process, world = self.process("worker", host)
        launcher = self.launcher(process, host)
        worker = SimWorker(host, process, launcher)
        self.workers.append(worker)
        process.spawn(self.be_worker(worker, process, world, cores, memory_bytes))
        self.restart_when_ended(worker, process, lambda each: self.start_worker_again(each, cores, memory_bytes))
        return worker

    def start_worker_again(self, worker: SimWorker, cores: int, memory_bytes: int) -> None:
        """Start a worker in the place of one that has ended."""
        process, world = self.process("worker", worker.host)
        worker.process, worker.running, worker.launcher = process, None, self.launcher(process, worker.host)
        process.spawn(self.be_worker(worker, process, world, cores, memory_bytes))
        self.restart_when_ended(worker, process, lambda each: self.start_worker_again(each, cores, memory_bytes))

    def launcher(self, worker: SimProcess, host: SimHost) -> SimLauncher:
        """Make what starts executors on a host."""
        return SimLauncher(worker, lambda name: self.process(name, host), self.duration, self.observe)

    async def be_worker(
        self, worker: SimWorker, process: SimProcess, world: SimWorld, cores: int, memory_bytes: int
    ) -> None:
        """What `minispark worker` does."""
        options = WorkerOptions(
            tuple(master.address for master in self.masters),
            self.directory / worker.host.name,
            host=worker.host.name,
            cores=cores,
            memory_bytes=memory_bytes,
        )
        try:
            running = await start_worker(
                world, self.conf(), options, SECRET, launcher=worker.launcher, environment={"PATH": ""}
            )
        except MiniSparkError as error:  # a full disk, for instance: systemd tries again
            worker.exits.append(str(error))
            process.end(1)
            return
        self.observe(process, running.env)
        if running.service is not None:
            self.observe(process, running.service.env)  # type: ignore[attr-defined]
        worker.running = running
        process.signals[signal.SIGPWR] = running.decommission
        process.signals[signal.SIGTERM] = partial(running.end, "SIGTERM")
        worker.exits.append(await running.ended())
        await running.stop()
        process.end(1)

    def restart_when_ended(self, place: Any, process: SimProcess, again: Callable[[Any], None]) -> None:
        """Have something started again a while after it has ended, as systemd does."""

        def ended(code: int) -> None:
            if place.restart_s is not None:
                self.loop.call_at_as(None, self.loop.now + place.restart_s, start)

        def start() -> None:
            if place.process is process and process.host not in self.network.dead:
                again(place)
            elif place.process is process:
                ended(0)  # the host is not there yet

        process.on_end.append(ended)

    # -- drivers -----------------------------------------------------------------------------------------------------

    def start_driver(
        self, program: Callable[[SimContext], Coroutine[Any, Any, T]], host: str = "driver", **settings: object
    ) -> tuple[SimProcess, "asyncio.Future[T]"]:
        """Run a program as a driver on a host; return its process, which is named like that, and its result.

        The future fails with what the program raises, and is cancelled if the driver is killed.
        """
        process, world = self.process(host, self.host(host))
        result: asyncio.Future[T] = self.loop.create_future()
        process.on_end.append(lambda code: self.driver_ended(process, result))
        conf = self.conf().set_master("minispark://" + ",".join(each.address.host_port for each in self.masters))
        for key, value in settings.items():
            conf.set(f"minispark.{key}", value)

        async def run() -> None:
            context = self.contexts[process] = SimContext(conf=conf, world=world)
            context.observe = lambda env: self.observe(process, env)
            try:
                async with context:
                    value = await program(context)
            except Exception as error:  # noqa: BLE001 — whatever it is, the test is to see it
                self.loop.run_as(None, result.set_exception, error)
            else:
                self.loop.run_as(None, result.set_result, value)
            process.end(0)

        process.spawn(run())
        return process, result

    def driver_ended(self, process: SimProcess, result: "asyncio.Future[Any]") -> None:
        """Make room for another driver; a result that did not come never will, and its files are held no more."""
        driver = getattr(self.contexts.get(process), "driver", None)
        session = driver.distribution.own_session if driver is not None and "distribution" in vars(driver) else None
        if session is not None:
            session.release()
        if context_module.active is self.contexts.get(process):
            context_module.active = None
        if not result.done():
            result.cancel()

    # -- the whole ---------------------------------------------------------------------------------------------------

    @property
    def leaders(self) -> list[SimMaster]:
        """The masters that take themselves for the leader, and may."""
        return [master for master in self.masters if master.leads]

    @property
    def executors(self) -> list[SimProcess]:
        """The executor processes that live."""
        return [each for each in self.processes if each.is_alive and each.name.startswith("executor")]

    async def pass_time(self, seconds: float) -> None:
        """Let things happen."""
        await self.clock.sleep(seconds)

    def close(self) -> None:
        """End all processes at once and remove all files."""
        for master in self.masters:
            master.restart_s = None
        for worker in self.workers:
            worker.restart_s = None
        for process in self.processes:
            process.end()
        memory_folder.TMPFS = REAL_TMPFS
        shutil.rmtree(self.directory, ignore_errors=True)


def run_simulation(scenario: Callable[[Simulation], Coroutine[Any, Any, T]], seed: int = 0, **options: Any) -> T:
    """Run a scenario in a simulation of its own and return its result.

    Raises:
        Deadlock: it waits for something that never comes.
    """
    loop = SimLoop()
    asyncio.set_event_loop(loop)
    simulation = Simulation(loop, seed, **options)
    try:
        return loop.run_until_complete(scenario(simulation))
    finally:
        with contextlib.suppress(Exception):
            simulation.close()
        asyncio.set_event_loop(None)
        loop.finish()
