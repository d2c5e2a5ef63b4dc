"""The standalone cluster as an application's source of executors: through `deploy.app_client`, from its master.

What the master says is put into the backend's words here; what executors are used for is not known here.
Source: Spark's StandaloneSchedulerBackend.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from minispark.deploy.app_client import APP_CLIENT, AppClient
from minispark.errors import MiniSparkError, RpcError
from minispark.ids import ApplicationId, ExecutorId, WorkerId
from minispark.messages.cluster import RemoveExecutor, RemoveWorker
from minispark.messages.deploy_clients import MasterStatus, RequestMasterStatus
from minispark.messages.deploy_values import ApplicationDescription, WorkerState
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.secrets import CLUSTER_REALM
from minispark.scheduler.cluster_backend import CoarseGrainedSchedulerBackend
from minispark.scheduler.logic.executors import Decommission, exit_reason

__all__ = ["StandaloneSchedulerBackend", "shortage"]

logger = logging.getLogger(__name__)

STATUS_S: Final = 5.0
KILL_AGAIN_S: Final = 30.0
"""After which executors that are to be ended, and still there, are ended again; they have had their time to end."""


class StandaloneSchedulerBackend:
    """An application's registration with a cluster; the `Provisioner` of its backend.

    Args:
        env: the driver's; it listens.
        masters: where masters may be.
        description: of the application.
        backend: told of what becomes of executors.
        given_up: called with the reason when the cluster is of no use any more, after it was.

    Attributes:
        allotted: the cores of the executors that the master has started and that have not ended.
        last_failure: how the executor ended that failed last.
        unwanted: the executors that were to be ended since it was last seen which are still there.
    """

    def __init__(
        self,
        env: RpcEnv,
        masters: Sequence[RpcAddress],
        description: ApplicationDescription,
        backend: CoarseGrainedSchedulerBackend,
        given_up: Callable[[str], object],
    ) -> None:
        self.env = env
        self.description = description
        self.backend = backend
        self.given_up = given_up
        self.allotted: dict[ExecutorId, int] = {}
        self.last_failure = ""
        self.unwanted: dict[ExecutorId, None] = {}
        self.kill_timer: asyncio.TimerHandle | None = None
        self.client = AppClient(env, masters, description, self)
        self.registered: asyncio.Future[ApplicationId] = env.loop.create_future()

    async def start(self) -> ApplicationId:
        """Register the application; return its id.

        Raises:
            MiniSparkError: no master takes it.
        """
        self.env.setup_endpoint(APP_CLIENT, self.client, realms=(CLUSTER_REALM,))
        return await self.registered

    # -- Provisioner -------------------------------------------------------------------------------------------------

    async def request_total_executors(self, total: int) -> bool:
        """Want so many executors in all; tell whether the master took it."""
        return await self.client.request_total_executors(total)

    async def kill_executors(self, executor_ids: Sequence[ExecutorId]) -> bool:
        """Have executors ended; tell whether the master took it. A master that falls may forget what it took."""
        self.unwanted.update(dict.fromkeys(executor_ids))
        if self.kill_timer is None:
            self.kill_timer = self.env.world.call_later(KILL_AGAIN_S, self.kill_again)
        return await self.client.kill_executors(executor_ids)

    def kill_again(self) -> None:
        """Have executors ended that should not be there any more: nothing runs on them, and they hold cores."""
        self.kill_timer = None
        left = [executor_id for executor_id in self.unwanted if self.backend.table.is_killed(executor_id)]
        self.unwanted.clear()
        if left:
            self.env.scope.spawn(self.kill_executors(left), name="kill executors again")

    async def stop(self) -> None:
        """Unregister the application."""
        if self.kill_timer is not None:
            self.kill_timer.cancel()
        if not self.registered.done():
            self.registered.cancel()
        await self.client.stop()

    # -- what the master says; see `AppClientListener` ---------------------------------------------------------------

    def connected(self, app_id: ApplicationId) -> None:
        """Take the application's id."""
        if not self.registered.done():
            self.registered.set_result(app_id)

    def disconnected(self) -> None:
        """Go on with the executors there are: a new leader will announce itself."""
        logger.warning("no master leads at the moment; what runs goes on")

    def dead(self, reason: str) -> None:
        """Give up: before the registration its caller, after it the application."""
        if not self.registered.done():
            self.registered.set_exception(MiniSparkError(f"the cluster does not take this application: {reason}"))
        elif not self.registered.cancelled():
            self.given_up(f"the cluster has given this application up: {reason}")

    def executor_added(
        self, executor_id: ExecutorId, worker_id: WorkerId, host: str, cores: int, memory_bytes: int
    ) -> None:
        """Note an executor that was started."""
        self.allotted[executor_id] = cores
        logger.info("executor %s starts on %s (%s) with %d cores", executor_id, host, worker_id, cores)

    def executor_removed(
        self, executor_id: ExecutorId, text: str, exit_code: int | None, worker_host: str, *, worker_lost: bool
    ) -> None:
        """Have an executor forgotten, for a reason that says whose fault it was."""
        self.allotted.pop(executor_id, None)
        if exit_code != 0:
            self.last_failure = text
        reason = exit_reason(exit_code, text, worker_host if worker_lost else "")
        self.backend.tell(RemoveExecutor(executor_id, reason))

    def executor_decommissioned(self, executor_id: ExecutorId, text: str, worker_host: str) -> None:
        """Give an executor nothing new."""
        self.backend.decommissioned(executor_id, Decommission(text, worker_host))

    def worker_removed(self, worker_id: WorkerId, host: str, text: str) -> None:
        """Have forgotten what a worker kept."""
        self.backend.tell(RemoveWorker(worker_id, host, text))

    # -- when nothing comes ------------------------------------------------------------------------------------------

    def explain_starvation(self) -> None:
        """Find out, and log, why no executor takes tasks."""
        self.env.scope.spawn(self.warn_of_shortage(), name="ask the master why no executor comes")

    async def warn_of_shortage(self) -> None:
        """Ask the master what is free, and log what is asked for."""
        master = self.client.registration.master
        status: MasterStatus | None = None
        if master is not None:
            try:
                status = await master.ask(RequestMasterStatus(), STATUS_S)
            except RpcError as error:
                logger.debug("the master does not say what is free: %s", error)
        logger.warning("%s", shortage(self.description, sum(self.allotted.values()), status, self.last_failure))


def shortage(
    description: ApplicationDescription, allotted_cores: int, status: MasterStatus | None, last_failure: str = ""
) -> str:
    """Say why no executor takes tasks: what is asked for and what there is."""
    wanted = f"{description.cores_per_executor or 1} cores and {description.memory_per_executor_bytes >> 20} MiB"
    head = "no executor has taken a task yet: "
    if allotted_cores:
        return f"{head}executors with {allotted_cores} cores were started and have not registered; their logs say why"
    alive = [worker for worker in status.workers if worker.state is WorkerState.ALIVE] if status is not None else []
    if status is not None and not alive:
        last = f"; the last executor ended: {last_failure}" if last_failure else ""
        return f"{head}the cluster {status.url} has no workers{last}"
    if last_failure:
        return f"{head}executors end before they can; the last, {last_failure}"
    if status is None:
        return f"{head}the master does not answer"
    free = ", ".join(
        f"{each.host}: {each.cores - each.cores_used} cores, {(each.memory_bytes - each.memory_used_bytes) >> 20} MiB"
        for each in alive
    )
    return f"{head}not enough memory or cores. An executor needs {wanted}; free are {free}"
