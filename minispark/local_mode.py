"""Local mode: a session directory and a pool of runners. Made by SparkContext, used by the driver as its mode.

It is apart from `driver`, and small, because it comes first: the runner processes start while the driver's modules
are loaded (docs/decisions/0003).
"""

import os
import socket
from importlib import import_module
from typing import TYPE_CHECKING, Final

from minispark.conf import SparkConf
from minispark.executor.pools import make_pool
from minispark.executor.runners import RunnerPool
from minispark.executor.session import SessionDirectory, local_directory, sweep
from minispark.executor.zygote_process import ZygoteProcess
from minispark.ids import ApplicationId, ExecutorId
from minispark.messages.task import BlockManagerId
from minispark.rpc.world import World

if TYPE_CHECKING:
    from minispark.driver import Driver
    from minispark.rpc.env import RpcEnv

__all__ = ["LOCAL_EXECUTOR_ID", "LocalMode"]

LOCAL_EXECUTOR_ID: Final = ExecutorId("driver")


class LocalMode:
    """What runs the tasks of an application without a cluster; a `driver.RunMode`.

    Args:
        conf: the application's settings.
        world: starts processes and threads.
        cores: tasks at once.
        zygote: the process that runner processes will be forked from, if it was started beforehand; from now on
            it goes with the pool.

    Raises:
        MiniSparkError: the session directory cannot be made; the text names the setting.
    """

    is_local: Final = True
    replacer: Final = None
    cluster_backend: Final = None

    def __init__(self, conf: SparkConf, world: World, cores: int, zygote: ZygoteProcess | None = None) -> None:
        self.conf = conf
        self.world = world
        self.cores = cores
        self.parent = local_directory(conf)
        self.session = SessionDirectory.create(self.parent, world.secret_bytes)
        self.location = BlockManagerId(LOCAL_EXECUTOR_ID, socket.gethostname(), 0, os.fspath(self.session.path))
        self.pool: RunnerPool = make_pool(cores, conf, self.location, world, zygote=zygote)

    def launch(self) -> None:
        """Begin to start the runners.

        Raises:
            MiniSparkError: they cannot be started; the text says why.
        """
        self.pool.launch()

    @property
    def default_parallelism(self) -> int:
        """How many partitions keep all cores busy."""
        return self.cores

    def location_at(self, directory: str) -> BlockManagerId | None:
        """Return None: all that tasks leave lies in this process's directory."""

    def peers_of(self, executor_id: ExecutorId) -> tuple[BlockManagerId, ...]:
        """Return nobody."""
        return ()

    async def open_env(self) -> "RpcEnv":
        """Return an env that does not listen."""
        from minispark.rpc.env import RpcEnv  # as in `start`

        return RpcEnv("driver", self.world, self.conf)

    async def start(self, driver: "Driver") -> ApplicationId:
        """Start the executor and its backend.

        Raises:
            MiniSparkError: the runners cannot be started; the text says why.
        """
        # With the driver's modules, which the runners do not wait for.
        await import_module("minispark.local_executor").start_local_executor(self, driver)
        await self.sweep()
        return ApplicationId(f"local-{os.getpid()}-{int(self.world.wall() * 1000)}")

    def started(self, driver: "Driver") -> None:
        """Tell listeners of the executor."""
        from minispark.messages.listener import ExecutorJoined  # as in `start`

        joined = ExecutorJoined(self.world.wall(), LOCAL_EXECUTOR_ID, self.location.host, self.cores)
        driver.events.post(joined)

    async def sweep(self) -> None:
        """Remove what killed drivers left."""
        await self.world.run_blocking(sweep, self.parent)

    async def close(self, deadline_s: float) -> None:
        """End the runners, if they have not been ended, and remove the session directory."""
        await self.pool.stop(deadline_s)
        await self.world.run_blocking(self.session.remove)

    def abandon(self) -> None:
        """End what is left when the event loop has ended before the context was stopped: at once, without waiting."""
        self.pool.kill_all()
        self.session.remove()
