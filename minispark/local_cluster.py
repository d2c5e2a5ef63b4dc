"""`local-cluster[N,C,M]`: a master and N workers in the driver's process, on loopback; executors are real processes.

Made by `cluster_mode` for one application and ended with it: for tests, and to see on one machine what clusters do.
What it starts is what `minispark master` and `minispark worker` start.
"""

import logging

from minispark.conf import SparkConf
from minispark.deploy.master_process import MasterProcess, start_master
from minispark.deploy.worker_process import WorkerOptions, WorkerProcess, start_worker
from minispark.executor.session import SessionDirectory, local_directory, sweep
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.world import World

__all__ = ["LocalCluster"]

HOST = "127.0.0.1"
SECRET_SIZE = 32

logger = logging.getLogger(__name__)


class LocalCluster:
    """A cluster that lives as long as its application.

    Args:
        conf: of the application; master and workers get a copy with ports that are free.
        world: network and processes.
        num_workers: how many.
        cores: of each.
        memory_bytes: of each.

    Attributes:
        master: once it runs.
        workers: those that run, in their order.
    """

    def __init__(self, conf: SparkConf, world: World, num_workers: int, cores: int, memory_bytes: int) -> None:
        self.conf = conf.copy().set("minispark.shuffle.service.port", 0)
        self.world = world
        self.num_workers = num_workers
        self.cores = cores
        self.memory_bytes = memory_bytes
        self.secret = world.secret_bytes(SECRET_SIZE)
        self.directory: SessionDirectory | None = None
        self.master: MasterProcess | None = None
        self.workers: list[WorkerProcess] = []

    async def start(self) -> tuple[tuple[RpcAddress, ...], bytes]:
        """Start master and workers; return the master's address and the cluster's secret.

        Raises:
            MiniSparkError: they cannot be started; `close` ends those that were.
        """
        world, parent = self.world, local_directory(self.conf)
        self.directory = await world.run_blocking(SessionDirectory.create, parent, world.secret_bytes)
        await world.run_blocking(sweep, parent)
        self.master = await start_master(world, self.conf, self.secret, host=HOST, port=0)
        for _ in range(self.num_workers):
            await self.add_worker()
        return (self.master.address,), self.secret

    async def add_worker(self) -> WorkerProcess:
        """Start one more worker; it has begun to register when this returns.

        Raises:
            MiniSparkError: it cannot be started.
        """
        assert self.master is not None
        assert self.directory is not None
        options = WorkerOptions(
            (self.master.address,),
            self.directory.path / f"worker-{len(self.workers)}",
            host=HOST,
            cores=self.cores,
            memory_bytes=self.memory_bytes,
        )
        worker = await start_worker(self.world, self.conf, options, self.secret)
        self.workers.append(worker)
        return worker

    async def close(self) -> None:
        """End workers with their processes, then the master, and remove all files; once."""
        while self.workers:
            await self.workers.pop().stop()
        master, self.master = self.master, None
        if master is not None:
            await master.close()
        directory, self.directory = self.directory, None
        if directory is not None:
            await self.world.run_blocking(directory.remove)

    def abandon(self) -> None:
        """End the executors at once, without the event loop, which has ended."""
        for process in self.workers:
            if process.worker is not None:
                for runner in process.worker.tenants.executors.values():
                    runner.kill_now()
        if self.directory is not None:
            self.directory.remove()
