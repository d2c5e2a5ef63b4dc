"""Cluster mode: the driver listens, registers its application with a master, and executors come to it.

Made by SparkContext and used by the driver as its mode, as `local_mode` is; loaded only where there is a cluster. For
`local-cluster[N,C,M]` the cluster itself (`local_cluster`) is started and ended here, too.
"""

import getpass
import logging
import os
import sys
from typing import TYPE_CHECKING, Final

from minispark.conf import SparkConf
from minispark.deploy.secrets import cluster_secret, is_loopback, tls_contexts
from minispark.errors import ConfigurationError
from minispark.ids import ApplicationId, ExecutorId
from minispark.local_cluster import LocalCluster
from minispark.messages.cluster import ApplicationConf
from minispark.messages.deploy_values import ApplicationDescription
from minispark.messages.endpoints import COARSE_GRAINED_SCHEDULER, LOG_LEVELS
from minispark.messages.task import BlockManagerId
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.secrets import CLUSTER_REALM, application_secret
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World
from minispark.scheduler.cluster_backend import CoarseGrainedSchedulerBackend
from minispark.scheduler.coarse_grained import Audience, DriverEndpoint, DriverRules
from minispark.scheduler.executor_allocation import ExecutorAllocationManager, allocation_rules, monitor_rules
from minispark.scheduler.logic.allocation import AllocationRules
from minispark.scheduler.logic.master_url import ClusterMaster, LocalClusterMaster
from minispark.scheduler.standalone import StandaloneSchedulerBackend

if TYPE_CHECKING:
    from minispark.driver import Driver

__all__ = ["ClusterMode", "own_host"]

logger = logging.getLogger(__name__)

MIN_PARALLELISM = 2


class ClusterMode:
    """Has an application's tasks run by executors of a cluster; a `driver.RunMode`.

    Args:
        conf: the application's settings.
        world: clock, network, processes.
        target: the masters, or what cluster to make.

    Attributes:
        backend: how many executors there are to be, and which must go.
        endpoint: knows the executors.

    Raises:
        ConfigurationError: an executor does not fit into a worker of the cluster that is to be made.
    """

    is_local: Final = False
    session: Final = None  # tasks see no directory of the driver's; one for broadcasts and files is made when needed
    pool: Final = None

    def __init__(self, conf: SparkConf, world: World, target: ClusterMaster | LocalClusterMaster) -> None:
        self.conf = conf
        self.world = world
        self.target = target
        self.cluster: LocalCluster | None = None
        self.memory_bytes = conf.executor_memory
        expected_cores = conf.cores_max
        if isinstance(target, LocalClusterMaster):
            self.memory_bytes = executor_memory(conf, target)
            self.cluster = LocalCluster(conf, world, target.workers, target.cores, target.memory_bytes)
            expected_cores = target.workers * target.cores
        self.expected_cores = expected_cores
        self.allocation_rules = allocation_rules(conf) if conf.dynamic_allocation else None
        awaited_cores = 0 if conf.dynamic_allocation else expected_cores  # who waits for cores would not ask for them
        self.endpoint = DriverEndpoint(DriverRules.of(conf, awaited_cores), world, self.application)
        force_kill_s = conf.executor_decommission_force_kill_timeout
        self.backend = CoarseGrainedSchedulerBackend(self.endpoint, world, conf.executor_stop_deadline, force_kill_s)
        self.masters: tuple[RpcAddress, ...] = ()
        self.realm = f"app-{world.secret_bytes(8).hex()}"
        self.standalone: StandaloneSchedulerBackend | None = None

    @property
    def replacer(self) -> CoarseGrainedSchedulerBackend:
        """Gets other executors for those that have gone silent."""
        return self.backend

    @property
    def cluster_backend(self) -> CoarseGrainedSchedulerBackend:
        """Gets and ends executors."""
        return self.backend

    @property
    def default_parallelism(self) -> int:
        """How many partitions keep all cores busy, as far as they are known."""
        allotted = 0 if self.standalone is None else sum(self.standalone.allotted.values())
        made = self.expected_cores if self.cluster is not None else 0
        return max(allotted, made, self.backend.table.total_cores, MIN_PARALLELISM)

    def location_at(self, directory: str) -> BlockManagerId | None:
        """Return where the blocks of the executor with that session directory are; None if there is none."""
        return self.endpoint.location_at(directory)

    def peers_of(self, executor_id: ExecutorId) -> tuple[BlockManagerId, ...]:
        """Return where the blocks of the other executors are that stay."""
        return self.endpoint.peers_of(executor_id)

    # -- start -------------------------------------------------------------------------------------------------------

    async def open_env(self) -> RpcEnv:
        """Return an env that executors and masters can connect to.

        Raises:
            ConfigurationError: the secret or a certificate is missing.
            MiniSparkError: it cannot listen, or the cluster that is to be made cannot be.
        """
        if isinstance(self.target, ClusterMaster):
            self.masters, secret = self.target.addresses, cluster_secret(self.conf)
        else:
            assert self.cluster is not None
            self.masters, secret = await self.cluster.start()
        tls = tls_contexts(self.conf)
        env = RpcEnv(
            "driver",
            self.world,
            self.conf,
            secret=application_secret(secret, self.realm),
            realm=self.realm,
            server_tls=tls.server,
            client_tls=tls.client,
        )
        try:
            env.add_realm(CLUSTER_REALM, secret, self.masters)
            host = self.conf.driver_host or own_host(self.world, self.masters)
            await env.listen(self.conf.driver_bind_address or host, self.conf.driver_port, advertised_host=host)
        except BaseException:
            await env.close()
            raise
        return env

    async def start(self, driver: "Driver") -> ApplicationId:
        """Register the application with the cluster; return its id.

        Raises:
            MiniSparkError: no master takes it.
        """
        env, scheduler = driver.env, driver.scheduler
        assert env is not None
        health = scheduler.watch.health()
        self.endpoint.audience = Audience(
            driver.offers,
            scheduler.self_ref,
            driver.dag_scheduler,
            driver.heartbeats,
            env.endpoint_ref("BlockManagerMaster"),
            lambda: bool(scheduler.sets_of_stage),
            refuses_nobody if health is None else health.refuses,
        )
        env.setup_endpoint(COARSE_GRAINED_SCHEDULER, self.endpoint)
        self.backend.log_levels.env = env
        env.setup_endpoint(LOG_LEVELS, self.backend.log_levels)
        standalone = StandaloneSchedulerBackend(
            env,
            self.masters,
            self.description(env),
            self.backend,
            driver.give_up,
        )
        self.standalone = standalone
        self.endpoint.registered = standalone.registered
        self.backend.provisioner, self.backend.scope = standalone, env.scope
        scheduler.starvation.explain = standalone.explain_starvation
        driver.attach(self.backend, self.endpoint)
        application_id = await standalone.start()
        if self.allocation_rules is not None:
            self.follow_load(driver, self.allocation_rules, env.scope)
        return application_id

    def follow_load(self, driver: "Driver", rules: AllocationRules, scope: TaskScope) -> None:
        """Have executors come and go with the load."""
        conf = self.conf
        cores = conf.executor_cores or (self.target.cores if isinstance(self.target, LocalClusterMaster) else 0)
        tasks_per_executor = max(cores // conf.task_cpus, 1) if cores else None
        allocation = ExecutorAllocationManager(
            rules, monitor_rules(conf), tasks_per_executor, conf.task_cpus, self.backend, self.world, scope,
            decommissions=conf.decommission_enabled,
        )  # fmt: skip
        self.backend.allocation = allocation
        self.endpoint.heard_decommission = allocation.executor_decommissioned
        driver.follow_load(allocation)
        allocation.start()

    def started(self, driver: "Driver") -> None:
        """Post nothing: listeners hear of executors as they come."""

    def description(self, env: RpcEnv) -> ApplicationDescription:
        """Say what the application asks of the cluster."""
        conf = self.conf
        assert env.address is not None
        return ApplicationDescription(
            conf.app_name,
            self.realm,
            getpass.getuser(),
            env.address,
            conf.cores_max,
            conf.executor_cores,
            self.memory_bytes,
            executor_limit(conf),
            conf.executor_environment,
            conf.executor_python,
        )

    def application(self) -> ApplicationConf:
        """Tell an executor that starts what it is to be."""
        assert self.standalone is not None
        app_id = self.standalone.registered.result()
        return ApplicationConf(app_id, dict(self.conf.get_all()), tuple(sys.path), os.getcwd())

    # -- stop --------------------------------------------------------------------------------------------------------

    async def close(self, deadline_s: float) -> None:
        """End the cluster, if it was made for this application."""
        if self.cluster is not None:
            await self.cluster.close()

    def abandon(self) -> None:
        """End the processes of a cluster in this process, whose loop has ended."""
        if self.cluster is not None:
            self.cluster.abandon()


def refuses_nobody(executor_id: ExecutorId, host: str) -> bool:
    """Take every executor."""
    return False


def own_host(world: World, masters: tuple[RpcAddress, ...]) -> str:
    """Return the address under which a cluster's hosts reach this one: that by which it reaches its masters.

    Raises:
        ConfigurationError: there is no way to any of them.
    """
    error: OSError | None = None
    for address in masters:
        if is_loopback(address.host):
            return "127.0.0.1"
        try:
            return world.host_towards(address)
        except OSError as why:
            error = why
    raise ConfigurationError(f"there is no way to the masters ({error}); set minispark.driver.host") from error


def executor_memory(conf: SparkConf, target: LocalClusterMaster) -> int:
    """Return the bytes of an executor of a cluster that is made for it: what is set, else all of a worker.

    Raises:
        ConfigurationError: no worker has so much.
    """
    if not conf.contains("minispark.executor.memory"):
        return target.memory_bytes
    if conf.executor_memory > target.memory_bytes:
        raise ConfigurationError(
            f"minispark.executor.memory is {conf.executor_memory >> 20} MiB, and a worker of {conf.master} has "
            f"{target.memory_bytes >> 20} MiB: no executor could ever start"
        )
    return conf.executor_memory


def executor_limit(conf: SparkConf) -> int:
    """Return how many executors are wanted to begin with; −1: as many as the cores allow."""
    if conf.dynamic_allocation:
        return allocation_rules(conf).initial_executors
    return conf.executor_instances or -1
