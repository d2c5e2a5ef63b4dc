"""The TaskScheduler endpoint: task sets in, attempts out, ends of attempts back to the DAGScheduler.

The DAGScheduler and the backend send it messages; the backend endpoint also calls `resource_offers` and
`status_update` directly (see `backend.TaskOffers`). Who gets which core is decided in `logic.offers`, what an attempt
looks like in `launcher`. What a result says is none of its business: it never unpickles.
Source: Spark's TaskSchedulerImpl.
"""

import asyncio
import logging
import math
from collections.abc import Iterator
from typing import assert_never

from minispark.conf import SparkConf
from minispark.ids import StageId, TaskId
from minispark.messages.cluster import StatusUpdate
from minispark.messages.listener import EventSink
from minispark.messages.scheduler import (
    AttemptsProgressed,
    CheckSpeculation,
    ExecutorAdded,
    ExecutorDecommissioned,
    ExecutorLossPending,
    ExecutorRemoved,
    KillTaskAttempt,
    KillTaskSet,
    PartitionCompleted,
    ResultFetched,
    SubmitTaskSet,
    TaskAttemptKilled,
    ToTaskScheduler,
    UnschedulableExpired,
)
from minispark.messages.task import (
    IndirectResult,
    Success,
    TaskDescription,
    TaskEndReason,
    TaskFailure,
    TaskKilled,
    TaskOutcome,
    TaskResultLost,
    UnknownReason,
)
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World
from minispark.scheduler.backend import SchedulerBackend, WorkerOffer
from minispark.scheduler.executor_changes import ExecutorChanges
from minispark.scheduler.launcher import TaskLauncher, TaskPayloads
from minispark.scheduler.logic.cluster import Cluster
from minispark.scheduler.logic.locality import LocalityWaits
from minispark.scheduler.logic.offers import Offers
from minispark.scheduler.logic.pool import PoolTree
from minispark.scheduler.logic.task_set import Abort, RunningTask, TaskSet
from minispark.scheduler.result_getter import ResultGetter, ResultReader
from minispark.scheduler.rules import locality_waits
from minispark.scheduler.starvation import StarvationWarning
from minispark.scheduler.task_news import task_ended, task_set_failed
from minispark.scheduler.task_watch import TaskWatch
from minispark.scheduler.topology import Topology

__all__ = ["TaskScheduler"]

logger = logging.getLogger(__name__)

MIN_WAKE_S = 0.001
SUPERSEDED = "another attempt succeeded"


class TaskScheduler(RpcEndpoint):
    """All task sets of an application.

    Args:
        conf: failures and sizes that are tolerated, waits, racks.
        max_failures: of one task; local masters say their own.
        world: clock, timers, chance.
        scope: owns the fetching of results and of racks.
        dag_scheduler: told of every start and end.
        payloads: the partitions' data.
        read_result: fetches indirect results.
        events: whether anybody wants to know of starts.
        pools: in which order task sets are served.
        is_local: the executor is this process, so that nobody need be told to look for executors.

    Attributes:
        executors: takes those that come and go.
        starvation: tells that nobody takes the tasks.
    """

    executors: ExecutorChanges

    def __init__(
        self,
        conf: SparkConf,
        max_failures: int,
        world: World,
        scope: TaskScope,
        dag_scheduler: RpcEndpointRef,
        payloads: TaskPayloads,
        read_result: ResultReader,
        events: EventSink,
        pools: PoolTree,
        is_local: bool = False,
    ) -> None:
        self.max_failures = max_failures
        self.max_result_bytes = conf.driver_max_result_size
        self.task_cpus = conf.task_cpus
        self.waits = locality_waits(conf)
        self.world = world
        self.dag_scheduler = dag_scheduler
        self.pools = pools
        self.is_local = is_local
        self.topology = Topology(conf.topology_resolver, world, scope, lambda: self.executors.racks_changed())
        self.cluster = Cluster(self.topology.rack_of)
        self.executors = ExecutorChanges(
            self.cluster, self.topology, world, self, has_shuffle_service=conf.shuffle_service
        )
        self.launcher = TaskLauncher(
            payloads, world, self.cluster, pools, dag_scheduler, events, self.abort, conf.rpc_message_max_size
        )
        self.set_of_task = self.launcher.set_of_task
        self.offers = Offers(pools.walk, self.cluster, world.rng.shuffle, self.launcher, conf.task_cpus)
        self.watch = TaskWatch(conf, world, self.cluster, events, self)
        self.offers.exclusion = self.watch.health()
        self.results = ResultGetter(read_result, scope, self, events)
        self.sets_of_stage: dict[StageId, dict[int, TaskSet]] = {}
        self.given_up: list[TaskSet] = []  # during offers, when no set may leave its pool
        self.is_offering = False
        self.was_revived = False  # while a round over many executors went on
        self.wake_s = math.inf
        self.wake_timer: asyncio.TimerHandle | None = None
        self.starvation = StarvationWarning(world, conf.starvation_timeout, self.has_pending, self.tell_starvation)
        self.backend: SchedulerBackend | None = None

    def attach(self, backend: SchedulerBackend) -> None:
        """Say who has the executors; backend and scheduler need each other, so it cannot be an argument."""
        self.backend = backend
        self.watch.attach(backend)

    def on_stop(self) -> None:
        """Let the timers go."""
        if self.wake_timer is not None:
            self.wake_timer.cancel()
        self.starvation.stop()
        self.watch.stop()

    def max_concurrent_tasks(self) -> int:
        """Return how many tasks all executors together can run at once; 0 before there are any."""
        return 0 if self.backend is None else self.backend.max_concurrent_tasks

    def receive(self, message: ToTaskScheduler, context: CallContext) -> None:
        """Handle one message."""
        match message:
            case SubmitTaskSet():
                self.submit(message)
            case KillTaskSet() | KillTaskAttempt():
                self.kill(message, context)
            case ResultFetched():
                self.result_fetched(message)
            case PartitionCompleted():
                self.partition_completed(message)
            case ExecutorAdded():
                self.executors.added(message.executor_id, message.host)
                self.revive_offers()
            case ExecutorDecommissioned():
                self.executors.decommissioned(message)
            case ExecutorLossPending():
                self.executors.loss_pending(message.executor_id)
            case ExecutorRemoved():
                self.watch.executor_removed(message.executor_id)
                self.executors.removed(message)
            case CheckSpeculation() | UnschedulableExpired() | AttemptsProgressed():
                self.watch.receive(message)
            case _:
                assert_never(message)

    # -- task sets ---------------------------------------------------------------------------------------------------

    def submit(self, submitted: SubmitTaskSet) -> None:
        """Take a task set, or a further chunk of one; earlier attempts of the stage start nothing more."""
        attempts = self.sets_of_stage.get(submitted.stage_id, {})
        task_set = attempts.get(submitted.stage_attempt)
        if task_set is None and submitted.first:
            return  # the set was given up while this chunk was on its way
        self.topology.resolve(location.host for location in submitted.preferences.locations)
        if task_set is not None:
            task_set.add(submitted)
        else:
            task_set = self.new_set(submitted)
            self.sets_of_stage.setdefault(submitted.stage_id, attempts)[submitted.stage_attempt] = task_set
            self.watch.set_added(task_set, submitted)
            self.pools.add(task_set)
            for older in [older for older in attempts.values() if older is not task_set]:
                older.is_zombie = True
                self.forget_if_finished(older)
        if not self.is_local:
            self.starvation.begin()
        self.revive_offers()

    def new_set(self, submitted: SubmitTaskSet) -> TaskSet:
        """Make a task set; with the legacy rule a barrier stage does not wait for places."""
        waits = LocalityWaits(0, 0, 0, True) if submitted.is_barrier and self.waits.legacy_reset else self.waits
        return TaskSet(
            submitted,
            max_failures=self.max_failures,
            max_result_bytes=self.max_result_bytes,
            task_cpus=self.task_cpus,
            cluster=self.cluster,
            waits=waits,
            now=self.world.monotonic(),
        )

    def task_sets(self) -> Iterator[TaskSet]:
        """Go through all task sets, zombies too."""
        for attempts in self.sets_of_stage.values():
            yield from attempts.values()

    def has_pending(self) -> bool:
        """Tell whether any task waits for a core."""
        return any(task_set.has_pending() for task_set in self.task_sets())

    def kill(self, killed: KillTaskSet | KillTaskAttempt, context: CallContext) -> None:
        """End all attempts of a stage, or one."""
        if isinstance(killed, KillTaskAttempt):
            context.reply(TaskAttemptKilled(self.kill_attempt(killed)))
            return
        assert self.backend is not None
        for task_set in list(self.sets_of_stage.get(killed.stage_id, {}).values()):
            task_set.is_zombie = True
            for task in task_set.running.values():
                if task.task_id not in self.results.fetching:
                    self.backend.kill_task(task.task_id, task.executor_id, killed.interrupt, killed.reason)
            self.forget_if_finished(task_set)

    def kill_attempt(self, killed: KillTaskAttempt) -> bool:
        """End one attempt; tell whether it still ran."""
        task_set = self.set_of_task.get(killed.task_id)
        if task_set is None or killed.task_id in self.results.fetching:
            return False
        assert self.backend is not None
        task = task_set.running[killed.task_id]
        self.backend.kill_task(task.task_id, task.executor_id, killed.interrupt, killed.reason)
        return True

    def partition_completed(self, completed: PartitionCompleted) -> None:
        """Note in the stage's task sets that a partition is done."""
        for task_set in list(self.sets_of_stage.get(completed.stage_id, {}).values()):
            task_set.partition_completed(completed.partition)
            self.forget_if_finished(task_set)

    def forget_if_finished(self, task_set: TaskSet) -> None:
        """Let go of a task set that runs nothing and will not."""
        if task_set.is_finished:
            attempts = self.sets_of_stage.get(task_set.stage_id, {})
            if attempts.pop(task_set.stage_attempt, None) is not None:
                self.pools.remove(task_set)
                self.watch.set_ended(task_set)
            if not attempts:
                self.sets_of_stage.pop(task_set.stage_id, None)

    def revive_offers(self) -> None:
        """Have the backend offer its free cores."""
        self.was_revived = True
        if self.backend is not None:
            self.backend.revive_offers()

    def tell_starvation(self) -> None:
        """Log what is known here; a cluster's backend knows more."""
        logger.warning(
            "no executor has taken a task yet: %d executors are known; are there any, and do they have %d free "
            "cores each?", len(self.cluster.executors), self.task_cpus,
        )  # fmt: skip

    # -- offers ------------------------------------------------------------------------------------------------------

    def resource_offers(self, offers: list[WorkerOffer], is_all_free: bool = True) -> list[TaskDescription]:
        """Return the attempts to launch on these cores; see `backend.TaskOffers`."""
        now = self.world.monotonic()
        for offer in offers:
            if offer.executor_id not in self.cluster.executors:
                self.executors.added(offer.executor_id, offer.host)
        is_watched = self.watch.is_on
        if is_watched:
            self.watch.before_offers(offers)
        self.is_offering = True
        if len(offers) == 1 and self.offers.steps is None:
            self.offers.serve_one(offers[0], now, is_all_free)
        elif is_all_free:
            self.step(offers, now)
        else:
            self.offers.serve_all(offers, now)
        self.is_offering = False
        launches = self.launcher.launches
        if launches:
            self.launcher.launches = []
            self.starvation.is_over = True
        if is_watched:
            self.watch.after_offers(bool(launches))
        if self.given_up:
            self.forget_given_up()
        if self.offers.wake_s < self.wake_s:
            self.wake_later(now)
        self.offers.wake_s = math.inf
        return launches

    def step(self, offers: list[WorkerOffer], now: float) -> None:
        """Begin a round over everything that is free or go on with one; ask for another step, or another round."""
        if self.offers.steps is None:
            self.was_revived = False
        is_done = self.offers.step(offers, now)
        if not is_done and self.backend is not None:
            self.backend.revive_offers()
        elif self.was_revived:
            self.was_revived = False
            self.revive_offers()

    def forget_given_up(self) -> None:
        """Let the sets go that were given up while offers were made."""
        given_up, self.given_up = self.given_up, []
        for task_set in given_up:
            self.forget_if_finished(task_set)

    def wake_later(self, now: float) -> None:
        """Have everything offered again when the first set has waited long enough, even if nothing else happens."""
        if self.wake_timer is not None:
            self.wake_timer.cancel()
        self.wake_s = self.offers.wake_s
        # Not less than a millisecond: a wait that ends within a rounding error of now would not let time pass.
        self.wake_timer = self.world.call_later(max(self.wake_s - now, MIN_WAKE_S), self.wake)

    def wake(self) -> None:
        """Have everything offered again."""
        self.wake_s = math.inf
        self.wake_timer = None
        self.revive_offers()

    # -- ends of attempts --------------------------------------------------------------------------------------------

    def status_update(self, update: StatusUpdate) -> None:
        """Take what an executor reports; ends of attempts that are not known (any more) are dropped."""
        task_set = self.set_of_task.get(update.task_id)
        if task_set is None or update.task_id in self.results.fetching:
            logger.debug("dropped a status of unknown task %d", update.task_id)
            return
        outcome: TaskOutcome | None = update.outcome
        if outcome is None:
            if not update.state.is_finished:
                task_set.running[update.task_id].has_started = True
                return
            outcome = UnknownReason("no outcome was given")
        if isinstance(outcome, Success):
            self.result_arrived(task_set, update.task_id, outcome)
        else:
            self.failed(task_set, update.task_id, outcome)

    def result_arrived(self, task_set: TaskSet, task_id: TaskId, success: Success) -> None:
        """Take a result that is here, or fetch it first."""
        abort = task_set.can_fetch(success.metrics.result_size_bytes)
        if abort is not None:
            self.abort(task_set, abort)
            self.failed(task_set, task_id, TaskResultLost("the results of the job are too large"))
            if isinstance(success.result, IndirectResult):
                self.results.drop(task_id, success.result)
        elif isinstance(success.result, IndirectResult):
            self.results.fetch(task_set, task_id, success, success.result)
        else:
            self.succeeded(task_set, task_id, success)

    def result_fetched(self, fetched: ResultFetched) -> None:
        """Take a result that was fetched, or its loss."""
        success = self.results.fetched(fetched)
        task_set = self.set_of_task.get(fetched.task_id)
        if task_set is None:
            return
        if success is None:
            self.failed(task_set, fetched.task_id, TaskResultLost("the result was lost before it was fetched"))
        else:
            self.succeeded(task_set, fetched.task_id, success)
        self.revive_offers()

    def succeeded(self, task_set: TaskSet, task_id: TaskId, success: Success) -> None:
        """Note a success, end the task's other attempts, tell the DAGScheduler."""
        task = task_set.running[task_id]
        if task.is_superseded and task_set.successful[task.index]:
            # It was done before the kill reached it; its result is not wanted.
            task_set.result_bytes -= success.metrics.result_size_bytes
            self.failed(task_set, task_id, TaskKilled(SUPERSEDED, success.metrics))  # nor what it added
            return
        self.note_end(task_set, task)
        _, is_first = task_set.succeeded(task_id)
        if is_first:
            if self.watch.is_on:
                self.watch.task_succeeded(task_set, task, success)
            for other in task_set.siblings(task) if task_set.copies[task.index] else ():
                assert self.backend is not None
                other.is_superseded = True
                self.backend.kill_task(other.task_id, other.executor_id, True, SUPERSEDED)
        self.dag_scheduler.send(task_ended(task_set, task, success))
        if task_set.is_zombie:
            self.forget_if_finished(task_set)

    def failed(self, task_set: TaskSet, task_id: TaskId, reason: TaskFailure) -> None:
        """Note a failure, tell the DAGScheduler, and give the set up if that was one too many."""
        self.watch.task_failed(task_set, task_set.running[task_id], reason)
        self.note_end(task_set, task_set.running[task_id])
        task, abort = task_set.failed(task_id, reason)
        self.tell_end(task_set, task, reason)
        if abort is not None:
            self.abort(task_set, abort)
        self.forget_if_finished(task_set)
        if task_set.has_pending():
            self.revive_offers()

    def fail_lost(self, task_id: TaskId, reason: TaskFailure) -> None:
        """End an attempt that its executor took with it; see `executor_changes.Affected`."""
        self.results.fetching.pop(task_id, None)
        self.failed(self.set_of_task[task_id], task_id, reason)

    def note_end(self, task_set: TaskSet, task: RunningTask) -> None:
        """Take an attempt out of the tables of what runs."""
        del self.set_of_task[task.task_id]
        executor = self.cluster.executors.get(task.executor_id)
        if executor is not None:
            executor.tasks.pop(task.task_id, None)
        self.pools.task_ended(task_set)

    def abort(self, task_set: TaskSet, abort: Abort) -> None:
        """Give a task set up; the DAGScheduler will have its tasks killed."""
        task_set.is_zombie = True
        if self.is_offering:
            self.given_up.append(task_set)
        self.dag_scheduler.send(task_set_failed(task_set, abort))

    def give_up(self, task_set: TaskSet, abort: Abort) -> None:
        """Give a task set up between offers."""
        if not task_set.is_zombie:
            self.abort(task_set, abort)
            self.forget_if_finished(task_set)

    def tell_end(self, task_set: TaskSet, task: RunningTask, reason: TaskEndReason) -> None:
        """Tell the DAGScheduler that an attempt ended."""
        self.dag_scheduler.send(task_ended(task_set, task, reason))

    # -- invariants --------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Assert what always holds."""
        self.pools.check()
        self.cluster.check()
        known = {id(task_set) for attempts in self.sets_of_stage.values() for task_set in attempts.values()}
        assert known == {id(task_set) for task_set in self.pools.sorted()}, "pool and table differ"
        for attempts in self.sets_of_stage.values():
            assert sum(not task_set.is_zombie for task_set in attempts.values()) <= 1, "two live attempts of a stage"
            for task_set in attempts.values():
                task_set.check()

    def assert_empty(self) -> None:
        """Assert that nothing is kept once all jobs have ended and all attempts were heard of."""
        assert not self.sets_of_stage, f"left over: {list(self.sets_of_stage)}"
        assert not self.set_of_task, f"left over: {list(self.set_of_task)}"
        assert not self.results.fetching
        assert not self.pools.sorted()
        assert not any(executor.tasks for executor in self.cluster.executors.values()), "executors are thought busy"
