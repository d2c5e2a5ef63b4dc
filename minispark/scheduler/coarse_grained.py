"""A cluster's backend: executors in processes of their own that register with the driver and keep a connection to it.

`DriverEndpoint` counts their cores, offers them, launches what the TaskScheduler gives, and tells everybody of those
that come and go; what is decided of an executor is in `logic.executors`. How many there are, and who must go, is the
business of `cluster_backend`. Source: DriverEndpoint of Spark's CoarseGrainedSchedulerBackend.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, assert_never

from minispark.conf import SparkConf
from minispark.errors import MiniSparkError, ProtocolError
from minispark.ids import ApplicationId, ExecutorId, TaskId
from minispark.messages.blocks import DecommissionBlockManager, RemoveExecutorBlocks, RemoveHostBlocks
from minispark.messages.cluster import (
    ApplicationConf,
    DecommissionExecutor,
    ExecutorDecommissioning,
    ExecutorLossReason,
    ExecutorProcessLost,
    ExecutorStopped,
    KillTask,
    LaunchedExecutor,
    LaunchTasks,
    RegisteredExecutor,
    RegisterExecutor,
    RemoveExecutor,
    RemoveWorker,
    RetrieveApplicationConf,
    StatusUpdate,
    StopExecutor,
    ToDriver,
)
from minispark.messages.scheduler import (
    ExecutorAdded,
    ExecutorDecommissioned,
    ExecutorLossPending,
    ExecutorRemoved,
    ReviveOffers,
    WorkerLost,
)
from minispark.messages.task import BlockManagerId, TaskDescription, TaskState, UnknownReason
from minispark.record import Record, record
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.world import World
from minispark.scheduler.backend import TaskOffers, WorkerOffer
from minispark.scheduler.launcher import FRAME_BYTES
from minispark.scheduler.logic.executors import Decommission, ExecutorTable, KnownExecutor

__all__ = ["Audience", "DriverEndpoint", "DriverRules"]

logger = logging.getLogger(__name__)

TASK_BYTES: Final = 4 << 10
"""What a task's description takes in a message beside its data."""


@record
class Audience(Record):
    """Who hears of executors.

    Attributes:
        scheduler: takes offers and status updates.
        task_scheduler: the same, by messages.
        dag_scheduler: has the map outputs.
        heartbeats: looks for silent executors.
        blocks: knows who holds which block.
        has_work: whether there are tasks that may be waiting for cores.
        refuses: whether an executor's host is excluded.
    """

    scheduler: TaskOffers
    task_scheduler: RpcEndpointRef
    dag_scheduler: RpcEndpointRef
    heartbeats: RpcEndpointRef
    blocks: RpcEndpointRef
    has_work: Callable[[], bool]
    refuses: Callable[[ExecutorId, str], bool]


@record
class DriverRules(Record):
    """What a DriverEndpoint reads of the settings.

    Attributes:
        task_cpus: cores of a task.
        revive_interval_s: between offers that nothing else causes.
        removal_delay_s: how long the reason of a lost connection is awaited.
        max_message_bytes: of a message to an executor.
        expected_cores: of which a share must have registered before anything is offered.
        min_ratio: that share.
        max_wait_s: how long it is awaited at most.
    """

    task_cpus: int = 1
    revive_interval_s: float = 1.0
    removal_delay_s: float = 5.0
    max_message_bytes: int = 128 << 20
    expected_cores: int = 0
    min_ratio: float = 0.0
    max_wait_s: float = 30.0

    @classmethod
    def of(cls, conf: SparkConf, expected_cores: int) -> "DriverRules":
        """Read them."""
        return cls(
            conf.task_cpus,
            conf.scheduler_revive_interval,
            conf.executor_remove_delay,
            conf.rpc_message_max_size,
            expected_cores,
            conf.min_registered_resources_ratio,
            conf.max_registered_resources_waiting_time,
        )


class DriverEndpoint(RpcEndpoint):
    """The endpoint "CoarseGrainedScheduler"; also the `DirectBackend` of single tasks.

    Args:
        rules: from the settings.
        world: clock and timers.
        application: what a starting executor is told.

    Attributes:
        table: the executors; written here alone.
        is_stopping: the application ends: connections that end are no losses.
        registered: done when the application has been taken by a master; None: it need not be waited for.
        heard_decommission: told of executors that are to go, for dynamic allocation.
    """

    audience: Audience

    def __init__(self, rules: DriverRules, world: World, application: Callable[[], ApplicationConf]) -> None:
        self.rules = rules
        self.world = world
        self.application = application
        self.table = ExecutorTable(rules.task_cpus)
        self.refs: dict[ExecutorId, RpcEndpointRef] = {}
        self.locations: dict[ExecutorId, BlockManagerId] = {}
        self.direct: dict[TaskId, Callable[[StatusUpdate], None]] = {}  # tasks that the scheduler does not know
        self.delays: dict[ExecutorId, asyncio.TimerHandle] = {}
        self.is_ready = rules.expected_cores * rules.min_ratio <= 0
        self.revive_timer: asyncio.TimerHandle | None = None
        self.ready_timer: asyncio.TimerHandle | None = None
        self.is_stopping = False
        self.registered: asyncio.Future[ApplicationId] | None = None
        self.heard_decommission: Callable[[ExecutorId], object] = lambda executor_id: None

    def on_start(self) -> None:
        """Wait for executors no longer than is allowed."""
        if not self.is_ready:
            self.ready_timer = self.world.call_later(self.rules.max_wait_s, self.be_ready, "the wait is over")

    def on_stop(self) -> None:
        """Let the timers go."""
        for timer in (self.revive_timer, self.ready_timer, *self.delays.values()):
            if timer is not None:
                timer.cancel()

    def receive(self, message: ToDriver | ReviveOffers, context: CallContext) -> None:
        """Handle one message."""
        match message:
            case StatusUpdate():
                self.status_update(message)
            case ReviveOffers():
                self.make_offers(self.table.free_offers(), is_all_free=True)
                self.offer_again_later()
            case RetrieveApplicationConf():
                self.describe_application(context)
            case RegisterExecutor():
                self.register(message, context)
            case LaunchedExecutor(executor_id):
                self.launched(executor_id)
            case RemoveExecutor(executor_id, reason):
                self.remove(executor_id, reason)
            case ExecutorDecommissioning(executor_id, text):
                self.decommission(executor_id, Decommission(text, by_executor=True))
            case RemoveWorker():
                self.worker_removed(message)
            case ExecutorStopped():
                pass
            case _:
                assert_never(message)

    # -- executors come ----------------------------------------------------------------------------------------------

    def register(self, message: RegisterExecutor, context: CallContext) -> None:
        """Take an executor, or refuse it."""
        executor_id, host = message.executor_id, message.host
        if self.is_stopping or self.audience.refuses(executor_id, host):
            why = "the application ends" if self.is_stopping else f"host {host} is excluded"
            context.send_failure(MiniSparkError(f"executor {executor_id} is not wanted: {why}"))
            return
        executor = self.table.register(executor_id, host, message.cores)
        if executor is None:
            context.send_failure(MiniSparkError(f"there is, or was, an executor {executor_id} already"))
            return
        self.refs[executor_id] = message.executor
        self.locations[executor_id] = message.location
        now, since = self.world.monotonic(), self.table.requests.registered()
        waited = "" if since is None else f", {now - since:.1f} s after it was asked for"
        logger.info("executor %s on %s registered with %d cores%s", executor_id, host, message.cores, waited)
        self.audience.heartbeats.send(ExecutorAdded(executor_id, host))
        context.reply(RegisteredExecutor())
        early = self.table.early_decommission(executor_id)
        if early is not None:
            self.decommission(executor_id, early)
        if not self.is_ready and self.table.total_cores >= self.rules.expected_cores * self.rules.min_ratio:
            self.be_ready("enough executors are there")

    def describe_application(self, context: CallContext) -> None:
        """Tell an executor what to be; one that is faster than the master's word to this driver waits for that."""
        registered = self.registered
        if registered is not None and not registered.done():
            registered.add_done_callback(lambda _: self.describe_application(context))
        elif registered is not None and (registered.cancelled() or registered.exception() is not None):
            context.send_failure(MiniSparkError("the cluster has not taken this application"))
        else:
            context.reply(self.application())

    def launched(self, executor_id: ExecutorId) -> None:
        """Offer the cores of an executor that can take tasks now."""
        executor = self.table.launched(executor_id)
        if executor is not None:
            added = ExecutorAdded(executor_id, executor.host, executor.cores)
            self.audience.dag_scheduler.send(added)
            self.audience.task_scheduler.send(added)  # which has everything offered

    def be_ready(self, why: str) -> None:
        """Offer what there is."""
        if not self.is_ready:
            logger.info("tasks may start: %s", why)
            self.is_ready = True
            self.self_ref.send(ReviveOffers())

    # -- offers and tasks --------------------------------------------------------------------------------------------

    def status_update(self, update: StatusUpdate) -> None:
        """Take the cores of an ended attempt back, tell the scheduler, offer them again."""
        has_ended = update.outcome is not None or update.state.is_finished
        offer = self.table.task_ended(update.executor_id, update.task_id) if has_ended else None
        if update.task_id not in self.direct:
            self.audience.scheduler.status_update(update)
        elif has_ended:
            self.direct.pop(update.task_id)(update)
        if offer is not None:
            self.make_offers([offer], is_all_free=False)

    def make_offers(self, offers: list[WorkerOffer], *, is_all_free: bool) -> None:
        """Offer free cores and launch what the scheduler gives, in one message to each executor."""
        if not offers or not self.is_ready or self.is_stopping:
            return
        batches: dict[ExecutorId, list[TaskDescription]] = {}
        for task in self.audience.scheduler.resource_offers(offers, is_all_free):
            self.table.task_launched(task.executor_id, task.task_id, task.cpus)
            batches.setdefault(task.executor_id, []).append(task)
        for executor_id, tasks in batches.items():
            for batch in in_messages(tasks, self.rules.max_message_bytes):
                self.send_tasks(executor_id, batch)

    def send_tasks(self, executor_id: ExecutorId, tasks: tuple[TaskDescription, ...]) -> None:
        """Launch tasks; those that cannot be sent have failed."""
        try:
            self.refs[executor_id].send(LaunchTasks(tasks))
        except ProtocolError as error:
            logger.warning("tasks cannot be sent to executor %s: %s", executor_id, error)
            for task in tasks:
                failure = UnknownReason(f"the task cannot be sent: {error}")
                self.self_ref.send(StatusUpdate(executor_id, task.task_id, TaskState.FAILED, failure))

    def offer_again_later(self) -> None:
        """Have everything offered again in a while, as long as there is work: an idle application is at rest."""
        if self.revive_timer is None and not self.is_stopping and self.audience.has_work():
            self.revive_timer = self.world.call_later(self.rules.revive_interval_s, self.revive)

    def revive(self) -> None:
        """Have everything offered again."""
        self.revive_timer = None
        if self.audience.has_work():
            self.self_ref.send(ReviveOffers())

    def launch_directly(self, task: TaskDescription, ended: Callable[[StatusUpdate], None]) -> bool:
        """Launch a task if there is a core for it; see `direct_runner.DirectBackend`."""
        executor = self.table.with_room(task.cpus) if self.is_ready and not self.is_stopping else None
        if executor is None:
            return False
        executor.offer.cores -= task.cpus
        self.table.task_launched(executor.executor_id, task.task_id, task.cpus)
        self.direct[task.task_id] = ended
        self.send_tasks(executor.executor_id, (task,))
        return True

    def kill_directly(self, task_id: TaskId, interrupt: bool, reason: str) -> None:
        """End a task that was launched so."""
        for executor_id, executor in self.table.executors.items():
            if task_id in executor.running:
                self.kill_task(task_id, executor_id, interrupt, reason)

    def kill_task(self, task_id: TaskId, executor_id: ExecutorId, interrupt: bool, reason: str) -> None:
        """End an attempt."""
        ref = self.refs.get(executor_id)
        if ref is None:
            logger.info("task %d need not be killed: executor %s is gone", task_id, executor_id)
        else:
            ref.send(KillTask(task_id, executor_id, interrupt, reason))

    def location_at(self, directory: str) -> BlockManagerId | None:
        """Return where the blocks of the executor with that session directory are; None if there is none."""
        return next((place for place in self.locations.values() if place.directory == directory), None)

    def peers_of(self, executor_id: ExecutorId) -> tuple[BlockManagerId, ...]:
        """Return where the blocks of the other executors are that stay, those on other hosts first."""
        own, known = self.locations.get(executor_id), self.table.executors
        staying = [
            place
            for place in self.locations.values()
            if place.executor_id != executor_id and known[place.executor_id].is_active
        ]
        return tuple(sorted(staying, key=lambda place: own is not None and place.host == own.host))

    # -- executors go ------------------------------------------------------------------------------------------------

    def on_disconnected(self, address: RpcAddress) -> None:
        """Give executors of a lost connection no more tasks, and wait a moment for the reason."""
        for executor_id, ref in list(self.refs.items()):
            if ref.address == address and not self.is_stopping:
                self.connection_lost(executor_id)

    def on_network_error(self, error: BaseException, address: RpcAddress) -> None:
        """Do the same if an executor cannot be connected to: tasks that were to be launched there never arrive."""
        self.on_disconnected(address)

    def connection_lost(self, executor_id: ExecutorId) -> None:
        """Wait for whoever knows how the executor ended, or take it for lost."""
        if executor_id in self.delays:
            return
        delay_s = 0.0 if self.table.is_killed(executor_id) else self.rules.removal_delay_s
        lost = RemoveExecutor(executor_id, ExecutorProcessLost("its connection to the driver ended"))
        if delay_s <= 0:
            self.self_ref.send(lost)
            return
        if self.table.loss_pending(executor_id):
            self.audience.task_scheduler.send(ExecutorLossPending(executor_id))
        self.delays[executor_id] = self.world.call_later(delay_s, self.self_ref.send, lost)

    def remove(self, executor_id: ExecutorId, reason: ExecutorLossReason) -> None:
        """Let an executor go, and tell everybody."""
        timer = self.delays.pop(executor_id, None)
        if timer is not None:
            timer.cancel()
        ref = self.refs.pop(executor_id, None)
        self.locations.pop(executor_id, None)
        removed = self.table.remove(executor_id, reason)
        audience = self.audience
        if removed is None:
            audience.blocks.send(
                RemoveExecutorBlocks(executor_id)
            )  # it may have stored some without having registered
            return
        executor, loss = removed
        if ref is not None and timer is None and not self.is_stopping:
            ref.send(StopExecutor())  # it may live on, where its connection alone was lost or it asked to go
        logger.info("executor %s on %s is gone: %s", executor_id, executor.host, loss.text)
        news = ExecutorRemoved(
            executor_id, executor.host, loss.text, loss.caused_by_app, loss.worker_lost, loss.in_order
        )
        audience.heartbeats.send(news)
        audience.blocks.send(RemoveExecutorBlocks(executor_id))
        if loss.worker_lost:
            audience.blocks.send(RemoveHostBlocks(executor.host))
        if executor.has_launched:
            audience.dag_scheduler.send(news)
            audience.task_scheduler.send(news)
        self.end_direct_tasks(executor)

    def end_direct_tasks(self, executor: KnownExecutor) -> None:
        """Tell of single tasks that they have to run elsewhere."""
        for task_id in executor.running:
            ended = self.direct.pop(task_id, None)
            if ended is not None:
                ended(StatusUpdate(executor.executor_id, task_id, TaskState.LOST, None))

    def worker_removed(self, message: RemoveWorker) -> None:
        """Tell that all is lost that a worker's host kept."""
        logger.info("worker %s on %s is gone: %s", message.worker_id, message.host, message.text)
        self.audience.dag_scheduler.send(WorkerLost(message.host, message.text))
        self.audience.blocks.send(RemoveHostBlocks(message.host))

    def decommission(self, executor_id: ExecutorId, order: Decommission) -> bool:
        """Give an executor nothing new and have it go, now or when it registers; tell whether it was registered."""
        if not self.table.decommission(executor_id, order):
            return False
        executor = self.table.executors[executor_id]
        logger.info("executor %s on %s is decommissioned: %s", executor_id, executor.host, order.text)
        self.heard_decommission(executor_id)
        self.audience.blocks.send(DecommissionBlockManager(executor_id))
        if executor.has_launched:
            news = ExecutorDecommissioned(executor_id, executor.host, order.text, bool(order.worker_host))
            self.audience.dag_scheduler.send(news)
            self.audience.task_scheduler.send(news)
        if not order.by_executor:
            self.refs[executor_id].send(DecommissionExecutor(order.text))
        return True

    def stop_executors(self, timeout_s: float) -> "list[asyncio.Future[ExecutorStopped]]":
        """Have all executors end what runs; from now on nothing is offered, and who goes is not missed."""
        self.is_stopping = True
        for timer in self.delays.values():
            timer.cancel()
        self.delays.clear()
        return [ref.ask(StopExecutor(), timeout_s) for ref in self.refs.values()]

    def assert_idle(self) -> None:
        """Assert that nothing runs any more."""
        self.table.check()
        assert not self.direct, f"not ended: {list(self.direct)}"
        for executor in self.table.executors.values():
            assert not executor.running, f"{executor.executor_id} is thought to run {list(executor.running)}"


def in_messages(tasks: list[TaskDescription], max_bytes: int) -> list[tuple[TaskDescription, ...]]:
    """Cut tasks for one executor into as few messages as may be sent."""
    if len(tasks) == 1:
        return [tuple(tasks)]
    messages = []
    room = max_bytes - FRAME_BYTES
    batch: list[TaskDescription] = []
    for task in tasks:
        size = TASK_BYTES + len(task.partition_data)
        if batch and size > room:
            messages.append(tuple(batch))
            batch, room = [], max_bytes - FRAME_BYTES
        batch.append(task)
        room -= size
    return [*messages, tuple(batch)]
