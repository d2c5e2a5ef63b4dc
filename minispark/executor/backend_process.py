"""An executor process: asks the driver what to be, registers with it, runs an `Executor`, and ends with a reason.

`__main__` makes one and runs it. It is the composition root around the same `Executor` that local mode has. It
decides when the process ends, and with which code; what tasks do is not its matter.
Source: Spark's CoarseGrainedExecutorBackend.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from minispark.conf import SparkConf
from minispark.deploy.secrets import tls_contexts
from minispark.errors import MiniSparkError, RpcError, RpcTimeout
from minispark.executor.arguments import Arguments
from minispark.executor.decommissioner import BlockMigrator
from minispark.executor.driver_watch import DRIVER_WATCH, DriverWatch
from minispark.executor.executor import EXECUTOR, STOPPED, Executor
from minispark.executor.executor_log import ExecutorLog
from minispark.executor.lifeline import Credentials, Lifeline
from minispark.executor.logic.module_path import merged_path
from minispark.executor.partition_migrator import PartitionMigrator
from minispark.executor.persisted import PersistedBlocks
from minispark.executor.phases import Phases
from minispark.executor.pools import make_pool
from minispark.executor.questions import DriverRefs
from minispark.executor.runners import RunnerPool
from minispark.executor.session import SessionDirectory, local_directory, sweep
from minispark.executor.supply import SUPPLY, Supply
from minispark.executor.zygote_process import ZygoteProcess
from minispark.messages.cluster import (
    ApplicationConf,
    ExecutorDecommission,
    ExecutorDecommissioning,
    ExecutorExited,
    ExecutorLossReason,
    LaunchedExecutor,
    RegisterExecutor,
    RemoveExecutor,
    RetrieveApplicationConf,
)
from minispark.messages.endpoints import BLOCK_MANAGER_MASTER, COARSE_GRAINED_SCHEDULER, EXECUTOR_LOG
from minispark.messages.exit_codes import ExecutorExit
from minispark.messages.task import BlockManagerId
from minispark.rpc.env import RpcEnv
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World
from minispark.shuffle.executor_data import ExecutorData
from minispark.storage.block_fetcher import RemoteBlocks
from minispark.storage.block_manager import BLOCK_MANAGER
from minispark.storage.transfer import address_of

__all__ = ["ExecutorProcess"]

CLOSE_DEADLINE_S: Final = 15.0
SERVED: Final = ("shuffle",)  # of a session directory, by the host's shuffle service, when the executor is gone
SERVED_BLOCKS: Final = ("blocks/rdd_",)  # with minispark.shuffle.service.fetch.rdd.enabled

logger = logging.getLogger(__name__)


class ExecutorProcess:
    """One executor process, from its start to its exit code.

    Args:
        arguments: what the worker said on the command line.
        credentials: what it said on the lifeline.
        lifeline: tells when the worker is gone.
        zygote: the process that runners are forked from, started beforehand.
        world: clock, network, processes.
        phases: how long the start took.
    """

    registered = False
    exit_now: Callable[[int], object] = staticmethod(os._exit)  # these two a simulation does otherwise
    make_pool: Callable[..., RunnerPool] = staticmethod(make_pool)
    backend: RpcEndpointRef
    data: ExecutorData
    env: RpcEnv
    persisted: PersistedBlocks

    def __init__(
        self,
        arguments: Arguments,
        credentials: Credentials,
        lifeline: Lifeline,
        zygote: ZygoteProcess | None,
        world: World,
        phases: Phases,
    ) -> None:
        self.arguments = arguments
        self.credentials = credentials
        self.lifeline = lifeline
        self.zygote = zygote
        self.world = world
        self.phases = phases
        self.own_conf = SparkConf(credentials.settings, environment={})
        self.tls = tls_contexts(self.own_conf)
        self.scope = TaskScope(f"executor {arguments.executor_id}", self.failed)
        self.session: SessionDirectory | None = None
        self.pool: RunnerPool | None = None
        self.executor: Executor | None = None
        self.exit: asyncio.Future[ExecutorExit] = asyncio.get_running_loop().create_future()
        self.is_orphan = False

    async def run(self) -> ExecutorExit:
        """Be an executor until there is a reason to end; return the process's exit code."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.terminated)
        self.lifeline.watch(loop, self.worker_gone)
        self.scope.spawn(self.begin(), name="start")
        code = await self.exit
        guard = self.world.call_later(CLOSE_DEADLINE_S, self.exit_now, int(code))  # whatever hangs, the executor goes
        await self.close(code)
        guard.cancel()
        return code

    # -- start -------------------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Start, or end with the reason why not."""
        try:
            await self.start()
        except (MiniSparkError, OSError) as error:
            self.end(ExecutorExit.FAILED, f"cannot start: {error}")
        except Exception as error:
            logger.exception("this is an error of minispark")
            self.failed("the start", error)

    async def start(self) -> None:
        """Get the application's settings, register, start the runners.

        Raises:
            MiniSparkError: one of these failed; the text says why.
        """
        application = await self.ask_the_driver()
        self.phases.mark("settings")
        conf = SparkConf(application.settings, environment={})
        conf.set("minispark.executor.memory", self.arguments.memory_bytes)
        self.env = env = self.make_env("", conf)
        env.dispatcher.on_unsettled = self.failed
        address = await env.listen(self.arguments.host)
        if not self.make_directory(conf):
            return
        assert self.session is not None
        location = BlockManagerId(
            self.arguments.executor_id, self.arguments.host, address.port, os.fspath(self.session.path)
        )
        self.backend = env.bind(COARSE_GRAINED_SCHEDULER, self.arguments.driver)
        self.data = ExecutorData(env, location, self.credentials.service if conf.shuffle_service else None)
        self.executor = executor = self.make_executor(application, conf, location)
        self.data.taker.is_leaving = lambda: executor.decommissioner.begun
        env.setup_endpoint(DRIVER_WATCH, DriverWatch(self.arguments.driver, self.driver_gone))
        env.setup_endpoint(EXECUTOR, self.executor)
        if conf.decommission_enabled:
            asyncio.get_running_loop().add_signal_handler(signal.SIGPWR, self.told_to_go)
        await self.data.start(self.session.path.parent.parent)
        env.setup_endpoint(EXECUTOR_LOG, log := ExecutorLog())
        await self.register()
        self.scope.spawn(log.ask(env, self.arguments.driver), name="ask how much to log")
        self.phases.mark("registered")
        await self.executor.start()
        self.backend.send(LaunchedExecutor(self.arguments.executor_id))
        self.lifeline.say_ready()
        self.phases.mark("runners")
        logger.info("executor %s is ready: %s", self.arguments.executor_id, self.phases)

    def make_env(self, purpose: str, conf: SparkConf) -> RpcEnv:
        """Make an env that proves the application's secret."""
        return RpcEnv(
            f"executor-{self.arguments.executor_id}{purpose}",
            self.world,
            conf,
            secret=self.credentials.secret,
            realm=self.credentials.realm,
            server_tls=self.tls.server,
            client_tls=self.tls.client,
        )

    async def ask_the_driver(self) -> ApplicationConf:
        """Ask what to be, from an env of its own: the settings of the real one are in the answer.

        Raises:
            RpcError: the driver cannot be reached, or does not want this executor.
        """
        env = self.make_env("-settings", self.own_conf)
        try:
            driver = env.bind(COARSE_GRAINED_SCHEDULER, self.arguments.driver)
            return await driver.ask(RetrieveApplicationConf(self.arguments.executor_id))
        finally:
            self.scope.spawn(env.close(), name="close the connection for settings")

    def make_directory(self, conf: SparkConf) -> bool:
        """Make the session directory; if that fails, the process ends."""
        parent = Path(self.arguments.directory) if self.arguments.directory else local_directory(conf)
        try:
            self.session = SessionDirectory.create(parent.resolve(), self.world.secret_bytes)
        except MiniSparkError as error:
            self.end(ExecutorExit.NO_DIRECTORY, str(error))
            return False
        return True

    def make_executor(self, application: ApplicationConf, conf: SparkConf, location: BlockManagerId) -> Executor:
        """Make the executor and its pool, whose runners are where the driver is, as far as that is seen here."""
        service = self.data.service
        serves_blocks = service is not None and conf.shuffle_service_fetch_rdd
        self.pool = self.make_pool(
            self.arguments.cores, conf, self.data.output_location, self.world,
            memory_bytes=self.arguments.memory_bytes,
            zygote=self.zygote,
            sys_path=merged_path(application.sys_path, application.directory, sys.path, os.path.exists),
            working_directory=application.directory if os.path.isdir(application.directory) else "",
            kept=() if service is None else SERVED + SERVED_BLOCKS if serves_blocks else SERVED,
        )  # fmt: skip
        if conf.executor_pool == "process":
            self.zygote = None  # it is the pool's from now on
        supply = Supply(self.env, self.arguments.driver, location, conf, self.pool.forget_broadcasts)
        self.env.setup_endpoint(SUPPLY, supply)
        master = self.env.bind(BLOCK_MANAGER_MASTER, self.arguments.driver)
        persisted = PersistedBlocks(
            self.env, master, location, conf, self.pool,
            memory_bytes=self.arguments.memory_bytes,
            fetcher=RemoteBlocks(
                location, master, self.data.transfer, self.world if conf.shuffle_read_host_local else None
            ),
            reregister=self.reregister,
            service_port=service.port if service is not None and serves_blocks else 0,
        )  # fmt: skip
        self.data.files.find = persisted.path_of
        executor = Executor(
            self.arguments.executor_id,
            self.pool,
            self.backend,
            DriverRefs.bind(self.env, self.arguments.driver),
            conf=conf,
            location=location,
            world=self.world,
            scope=self.env.scope,
            serve=self.env.dispatcher.serve,
            reregister=self.reregister,
            driver_gone=lambda text: self.end(ExecutorExit.HEARTBEATS, f"the driver does not answer: {text}"),
            migrators=self.migrators(conf, persisted, master),
            helpers=(self.data.fetcher, supply, persisted),
            runner_gone=persisted.runner_lost,
            leave=self.leave,
        )
        self.persisted = persisted
        persisted.attach(executor)
        persisted.start()
        return executor

    def migrators(self, conf: SparkConf, persisted: PersistedBlocks, master: RpcEndpointRef) -> list[BlockMigrator]:
        """Return what hands over this executor's blocks when it is told to go."""
        outputs = self.data.migrator(DriverRefs.bind(self.env, self.arguments.driver).map_output_tracker)
        partitions = PartitionMigrator(persisted.stored, outputs.peers, master, self.block_manager_of, conf)
        return [outputs, partitions]

    def block_manager_of(self, peer: BlockManagerId) -> RpcEndpointRef:
        """Return the BlockManager of another executor."""
        return self.env.bind(BLOCK_MANAGER, address_of(peer))

    async def register(self) -> None:
        """Register with the driver.

        Raises:
            RpcError: it refuses, or does not answer.
        """
        assert self.executor is not None
        await self.backend.ask(
            RegisterExecutor(
                self.arguments.executor_id,
                self.executor.self_ref,
                self.arguments.host,
                self.arguments.cores,
                self.executor.location,
                {"pid": str(os.getpid())},
            )
        )
        self.registered = True

    def reregister(self) -> None:
        """Register again, because the driver does not know this executor any more."""
        if self.registered and not self.exit.done():
            self.scope.spawn(self.register_again(), name="register again")

    async def register_again(self) -> None:
        """Register again; a driver that has given the executor up refuses it."""
        try:
            await self.register()
        except RpcTimeout:
            logger.warning("the driver did not say whether it takes this executor back; the next heartbeat asks")
        except RpcError as error:
            self.end(ExecutorExit.REREGISTRATION, f"the driver does not take this executor back: {error}")
        else:
            self.persisted.registered_again()
            self.backend.send(LaunchedExecutor(self.arguments.executor_id))

    # -- end ---------------------------------------------------------------------------------------------------------

    def end(self, code: ExecutorExit, text: str, tell: ExecutorLossReason | None = None) -> None:
        """End the process; the first reason counts.

        Args:
            code: its exit code.
            text: why, for its log.
            tell: what the driver is to be told, if it is there to hear it.
        """
        if self.exit.done():
            return
        log = logger.info if code in (ExecutorExit.DONE, ExecutorExit.TERMINATED) else logger.error
        log("executor %s ends with code %d: %s", self.arguments.executor_id, code, text)
        if tell is not None and self.registered:
            self.backend.send(RemoveExecutor(self.arguments.executor_id, tell))
        self.exit.set_result(code)

    def leave(self, reason: str) -> None:
        """End in order: the driver stopped this executor, or it had been told to go and is done."""
        if reason != STOPPED:
            self.end(ExecutorExit.DONE, f"decommissioned: {reason}", ExecutorDecommission(reason))
        self.end(ExecutorExit.DONE, reason)

    def worker_gone(self) -> None:
        """End, because nobody would know of this process any more."""
        self.is_orphan = True
        text = "its worker is gone"
        self.end(ExecutorExit.FAILED, text, ExecutorExited(ExecutorExit.FAILED, caused_by_app=False, text=text))

    def driver_gone(self, text: str) -> None:
        """End, because nobody wants what this process does any more."""
        self.is_orphan = True
        self.end(ExecutorExit.FAILED, f"the driver is gone: {text}")

    def terminated(self) -> None:
        """End, because somebody asked for it with a signal."""
        text = "SIGTERM"
        self.end(
            ExecutorExit.TERMINATED, text, ExecutorExited(ExecutorExit.TERMINATED, caused_by_app=False, text=text)
        )

    def told_to_go(self) -> None:
        """Take SIGPWR: this machine goes. The driver is told first, so that it launches nothing more here."""
        assert self.executor is not None
        if not self.exit.done() and not self.executor.decommissioner.begun:
            self.backend.send(ExecutorDecommissioning(self.arguments.executor_id, "SIGPWR"))
            self.executor.decommissioner.begin("SIGPWR")

    def failed(self, name: str, error: BaseException) -> None:
        """End, because something failed that all tasks here depend on."""
        text = f"{name} failed: {type(error).__name__}: {error}"
        self.end(ExecutorExit.UNCAUGHT, text, ExecutorExited(ExecutorExit.UNCAUGHT, caused_by_app=False, text=text))

    async def close(self, code: ExecutorExit) -> None:
        """End the runners, write what waits, remove what is left."""
        self.lifeline.close()
        await self.scope.close()
        if self.executor is not None:
            self.executor.heartbeater.stop()
        if self.pool is not None:
            # A task that nobody wants to hear of need not unwind.
            await self.pool.stop(self.env.conf.executor_stop_deadline if code == ExecutorExit.TERMINATED else 0.0)
        if self.zygote is not None:
            self.zygote.abandon()
        served = self.registered and self.data.service is not None
        if hasattr(self, "data"):
            self.data.close()
        if hasattr(self, "env"):
            await self.env.close()
        if self.session is not None and served:
            self.session.release()
        elif self.session is not None:  # of a runner that never came; otherwise the zygote has done it
            await self.world.run_blocking(self.session.remove)
        if self.is_orphan and hasattr(self, "env"):
            # If it was killed, its folders are here still: a cluster in a driver's process has nobody else for it.
            await self.world.run_blocking(sweep, local_directory(self.env.conf))
