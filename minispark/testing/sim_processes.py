"""What a simulated worker starts: executors, as processes of its host on the same loop.

`SimLauncher` stands where the worker's `SystemLauncher` stands and reads the same command; what it starts is the real
`ExecutorProcess`, with a lifeline, signals, an exit and runners that are simulated.
"""

import asyncio
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from minispark.conf import SparkConf
from minispark.deploy.processes import ProcessCommand
from minispark.executor.arguments import Arguments
from minispark.executor.backend_process import ExecutorProcess
from minispark.executor.executor import Executor
from minispark.executor.inline_pool import Duration
from minispark.executor.lifeline import Credentials, Lifeline
from minispark.executor.phases import Phases
from minispark.messages.cluster import ApplicationConf
from minispark.messages.task import BlockManagerId
from minispark.rpc.env import RpcEnv
from minispark.rpc.world import World
from minispark.testing.sim_loop import SimProcess
from minispark.testing.sim_pool import SimPool
from minispark.testing.sim_world import SimWorld

__all__ = ["Observe", "SimExecutor", "SimLauncher", "SimLifeline", "StartProcess"]

LIFELINE_S = 0.001

Observe = Callable[[SimProcess, RpcEnv], object]
StartProcess = Callable[[str], tuple[SimProcess, SimWorld]]


class SimLifeline(Lifeline):
    """A lifeline without a descriptor.

    Args:
        ready: tells the worker that the executor is ready.
    """

    def __init__(self, ready: Callable[[], object]) -> None:
        super().__init__(-1)
        self.is_watched = False
        self.say_ready = ready  # type: ignore[assignment]

    def watch(self, loop: Any, gone: Callable[[], object]) -> None:
        """Have a function called when the worker is gone."""
        self.gone, self.is_watched = gone, True

    def close(self) -> None:
        """Watch no more."""
        self.is_watched = False

    def cut(self) -> None:
        """Tell that the worker is gone; as the executor."""
        if self.is_watched and self.gone is not None:
            self.is_watched = False
            self.gone()


class SimExecutor(ExecutorProcess):
    """An executor process on the simulation's loop."""

    def __init__(
        self,
        arguments: Arguments,
        credentials: Credentials,
        lifeline: SimLifeline,
        world: SimWorld,
        process: SimProcess,
        duration: Duration,
        observe: Observe,
    ) -> None:
        super().__init__(arguments, credentials, lifeline, None, world, Phases(world.monotonic))
        self.process = process
        self.observe = observe
        self.exit_now = process.end
        self.make_pool = partial(make_sim_pool, duration, world.disk)

    def make_env(self, purpose: str, conf: SparkConf) -> RpcEnv:
        """Make an env whose messages the simulation sees."""
        env = super().make_env(purpose, conf)
        self.observe(self.process, env)
        return env

    def make_executor(self, application: ApplicationConf, conf: SparkConf, location: BlockManagerId) -> Executor:
        """Make the executor; what this machine has in memory, and others on it take, is nothing to it."""
        executor = super().make_executor(application, conf, location)
        if executor.guard is not None:
            executor.guard.available = lambda: self.arguments.memory_bytes
        return executor

    def discard(self, code: int) -> None:
        """Let go, outside of the simulated process, of what would outlive it in this one."""
        if isinstance(self.pool, SimPool):
            self.pool.discard()
        if self.session is not None:
            self.session.release()
        if hasattr(self, "persisted") and self.persisted.manager is not None:
            self.persisted.manager.on_stop()

    async def live(self) -> None:
        """Run to the end, then exit."""
        self.process.end(int(await self.run()))


def make_sim_pool(
    duration: Duration,
    disk: Callable[[], AbstractContextManager[None]],
    slots: int,
    conf: SparkConf,
    location: BlockManagerId,
    world: World,
    **options: object,
) -> SimPool:
    """Make the runners of an executor."""
    return SimPool(slots, conf, location, world, duration=duration, disk=disk)


class SimRunning:
    """A started executor, as its worker sees it; a `RunningProcess`."""

    def __init__(self, process: SimProcess) -> None:
        self.process = process

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    async def ended(self) -> int:
        """Wait for its end."""
        waiting: asyncio.Future[None] = self.process.loop.create_future()
        owner = self.process.loop.current
        self.process.on_end.append(lambda code: self.process.loop.call_as(owner, settle, waiting))
        if self.process.exit_code is None:
            await waiting
        assert self.process.exit_code is not None
        return self.process.exit_code

    def terminate(self) -> None:
        """Ask it to end."""
        self.process.loop.call_as(None, self.process.signal, int(signal.SIGTERM))

    def kill(self) -> None:
        """End it."""
        self.process.loop.call_as(None, self.process.end, -int(signal.SIGKILL))


def settle(waiting: "asyncio.Future[None]") -> None:
    """Tell of an end, unless nobody waits any more."""
    if not waiting.done():
        waiting.set_result(None)


class SimLauncher:
    """Starts executors on a host, for the worker there; a `ProcessLauncher`.

    Args:
        worker: whose end ends their lifelines.
        start: makes a process and its world.
        duration: how long attempts take.
        observe: is shown the envs that are made.

    Attributes:
        executors: all that it has started.
        fails: if set, an error that starting fails with.
        dies: whether what is started from now on ends at once.
    """

    def __init__(self, worker: SimProcess, start: StartProcess, duration: Duration, observe: Observe) -> None:
        self.worker = worker
        self.start = start
        self.duration = duration
        self.observe = observe
        self.executors: list[SimExecutor] = []
        self.fails: OSError | None = None
        self.dies = False

    def launch(self, command: ProcessCommand, ready: Callable[[], object] = int) -> SimRunning:
        """Start an executor."""
        if self.fails is not None:
            raise self.fails
        words = command.argv[command.argv.index("minispark.executor") + 1 :]
        arguments = Arguments.parse((*words, "--lifeline", "0"))
        assert command.lifeline is not None
        process, world = self.start(f"executor {arguments.app_id} {arguments.executor_id}")
        loop = process.loop
        if self.dies:
            loop.call_as(None, process.end, 1)
            return SimRunning(process)
        lifeline = SimLifeline(lambda: loop.call_at_as(self.worker, loop.now + LIFELINE_S, ready))
        credentials = Credentials.parse(command.lifeline)
        executor = loop.run_as(
            process,
            partial(SimExecutor, arguments, credentials, lifeline, world, process, self.duration, self.observe),
        )
        self.executors.append(executor)
        process.on_end.append(executor.discard)
        self.worker.on_end.append(lambda code: loop.call_at_as(process, loop.now + LIFELINE_S, lifeline.cut))
        process.spawn(executor.live())
        return SimRunning(process)
