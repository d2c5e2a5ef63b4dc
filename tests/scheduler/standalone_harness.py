"""A real master in virtual time, workers and executors that only talk, and a driver's backend between them."""

from collections.abc import Awaitable, Callable
from typing import Any

from minispark.conf import SparkConf
from minispark.deploy.master_process import MasterProcess, start_master
from minispark.ids import ApplicationId, ExecutorId, WorkerId
from minispark.messages.cluster import ApplicationConf, LaunchedExecutor, RegisterExecutor
from minispark.messages.deploy import ExecutorStateChanged, KillExecutor, LaunchExecutor, RegisterWorker
from minispark.messages.deploy_values import ApplicationDescription, ExecutorState
from minispark.messages.endpoints import COARSE_GRAINED_SCHEDULER
from minispark.messages.task import BlockManagerId
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.secrets import CLUSTER_REALM, application_secret
from minispark.scheduler.cluster_backend import CoarseGrainedSchedulerBackend
from minispark.scheduler.coarse_grained import Audience, DriverEndpoint, DriverRules
from minispark.scheduler.standalone import StandaloneSchedulerBackend
from minispark.testing.fakes import RecordingRef
from minispark.testing.memory_network import MemoryNetwork
from minispark.testing.virtual_loop import VirtualWorld, run_virtual
from tests.scheduler.scheduler_harness import SchedulerHarness

__all__ = ["Site", "in_site"]

SECRET = b"the secret of this cluster"
REALM = "app-of-a-test"
MIB = 1 << 20


class Mute(RpcEndpoint):
    """An executor that does nothing."""

    def receive(self, message: Any, context: CallContext) -> None:
        """Take it."""


class TalkingWorker(RpcEndpoint):
    """A worker whose executors are envs that register with the driver; `starts` False: they never come."""

    def __init__(self, site: "Site", name: str, cores: int) -> None:
        self.site = site
        self.name = name
        self.cores = cores
        self.env = site.env(f"worker-{name}", CLUSTER_REALM, SECRET)
        self.executors: dict[int, RpcEnv] = {}
        self.starts = True

    async def register(self) -> None:
        """Offer cores to the master."""
        address = await self.env.listen(self.name)
        ref = self.env.setup_endpoint("Worker", self)
        self.master = self.env.bind("Master", self.site.master.address)
        worker_id = WorkerId(f"worker-{self.name}")
        self.master.send(RegisterWorker(worker_id, self.name, ref, self.cores, 2048 * MIB, self.site.master.address))
        assert address.host == self.name

    def receive(self, message: Any, context: CallContext) -> None:
        """Start and end executors."""
        match message:
            case LaunchExecutor():
                self.tell(message.app_id, message.number, ExecutorState.RUNNING)
                if self.starts:
                    self.env.scope.spawn(self.start(message), name="start")
            case KillExecutor():
                self.env.scope.spawn(self.end(message.app_id, message.number, ExecutorState.KILLED, 143), name="end")

    async def start(self, message: LaunchExecutor) -> None:
        """Let an executor register with its driver."""
        description = message.description
        secret = application_secret(SECRET, description.realm)
        env = self.executors[message.number] = self.site.env(f"executor-{message.number}", description.realm, secret)
        address = await env.listen(self.name)
        ref, number = env.setup_endpoint("Executor", Mute()), ExecutorId(str(message.number))
        driver = env.bind(COARSE_GRAINED_SCHEDULER, description.driver)
        location = BlockManagerId(number, self.name, address.port, "/nowhere")
        await driver.ask(RegisterExecutor(number, ref, self.name, message.cores, location, {}))
        driver.send(LaunchedExecutor(number))

    async def end(self, app_id: ApplicationId, number: int, state: ExecutorState, code: int | None) -> None:
        """Let an executor end, and say so."""
        env = self.executors.pop(number, None)
        if env is not None:
            await env.close()
        self.tell(app_id, number, state, code)

    def tell(self, app_id: ApplicationId, number: int, state: ExecutorState, code: int | None = None) -> None:
        """Report a state."""
        future = self.master.ask(ExecutorStateChanged(app_id, number, state, "", code))
        future.add_done_callback(lambda done: done.cancelled() or done.exception())


class Site:
    """A master, two workers of ten cores and 2 GiB each, and a driver; made by `in_site`."""

    master: MasterProcess
    standalone: StandaloneSchedulerBackend

    def __init__(self, conf: SparkConf) -> None:
        self.network = MemoryNetwork()
        self.conf = conf
        self.seed = 0
        self.envs: list[RpcEnv] = []
        self.workers = [TalkingWorker(self, name, 10) for name in ("host-a", "host-b")]
        self.given_up: list[str] = []
        self.refused: set[str] = set()
        self.harness = SchedulerHarness()
        self.world = VirtualWorld(99, self.network)
        self.endpoint = DriverEndpoint(DriverRules.of(conf, 0), self.world, self.application)
        self.backend = CoarseGrainedSchedulerBackend(self.endpoint, self.world, 1.0)
        self.dag = RecordingRef("DAGScheduler")

    def env(self, name: str, realm: str, secret: bytes) -> RpcEnv:
        """Return an env on the network."""
        self.seed += 1
        env = RpcEnv(name, VirtualWorld(self.seed, self.network), self.conf, secret=secret, realm=realm)
        self.envs.append(env)
        return env

    def application(self) -> ApplicationConf:
        """Executors here do not ask."""
        raise NotImplementedError

    async def start(self, cores_max: int = 0, executor_cores: int = 0, limit: int = -1) -> None:
        """Start master and workers, then register an application."""
        self.master = await start_master(VirtualWorld(98, self.network), self.conf, SECRET, port=0)
        for worker in self.workers:
            await worker.register()
        await self.pause()
        env = self.driver = self.env("driver", REALM, application_secret(SECRET, REALM))
        env.add_realm(CLUSTER_REALM, SECRET, (self.master.address,))
        address = await env.listen()
        others = [RecordingRef(name) for name in ("TaskScheduler", "HeartbeatReceiver", "BlockManagerMaster")]
        self.endpoint.audience = Audience(
            self.harness.scheduler,
            others[0],
            self.dag,
            others[1],
            others[2],
            lambda: False,
            lambda executor_id, host: host in self.refused,
        )
        env.setup_endpoint(COARSE_GRAINED_SCHEDULER, self.endpoint)
        description = ApplicationDescription(
            "test", REALM, "me", address, cores_max, executor_cores, 512 * MIB, limit, {}
        )
        self.standalone = StandaloneSchedulerBackend(
            env, (self.master.address,), description, self.backend, self.given_up.append
        )
        self.backend.provisioner, self.backend.scope = self.standalone, env.scope
        self.app_id = await self.standalone.start()
        await self.pause()

    async def pause(self, seconds: float = 1.0) -> None:
        """Let things happen."""
        await self.world.sleep(seconds)

    def cores(self) -> list[int]:
        """Return the cores of the executors that registered, sorted."""
        return sorted(each.cores for each in self.endpoint.table.executors.values())

    async def request(self, total: int) -> list[int]:
        """Want so many executors in all; return the cores of those that are there then."""
        assert await self.backend.request_total_executors(total)
        await self.pause()
        return self.cores()

    async def kill_all(self) -> list[int]:
        """Kill all executors, and want none; return the cores of those that are there then."""
        await self.backend.kill_executors(self.backend.executor_ids())
        await self.pause()
        return self.cores()

    async def close(self) -> None:
        """End everything."""
        for env in reversed(self.envs):
            await env.close()
        if hasattr(self, "master"):
            await self.master.close()


def in_site(scenario: Callable[[Site], Awaitable[None]], **settings: object) -> None:
    """Run a scenario in a site of its own, in virtual time."""

    async def run() -> None:
        site = Site(SparkConf({f"minispark.{key.replace('_', '.')}": value for key, value in settings.items()}))
        try:
            await scenario(site)
        finally:
            await site.close()

    run_virtual(run())
