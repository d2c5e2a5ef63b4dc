"""Executor: the endpoint that gets tasks run, the same object in local and in cluster mode.

`LaunchTasks` comes in, `StatusUpdate` goes out to the backend endpoint. In between the executor prepares each attempt
(its stage's binary, the map outputs it reads), gives it to a free runner and answers the runner's questions. It knows
nothing of how runners run (`runners.RunnerPool`) and never unpickles anything. Source: Spark's Executor.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import partial, wraps
from typing import Any, Final, TypeVar, assert_never, cast

from minispark.conf import SparkConf
from minispark.errors import MemoryLimitError, MiniSparkError
from minispark.executor.decommissioner import BlockMigrator, Decommissioner
from minispark.executor.failures import describe
from minispark.executor.heartbeater import Heartbeater
from minispark.executor.kept_results import KeptResults
from minispark.executor.logic.preparation import IDLE_TTL_S, Preparation, Request
from minispark.executor.logic.slots import KillAction, Slots
from minispark.executor.memory_guard import MemoryGuard
from minispark.executor.questions import DriverRefs, Question, question_of, reply_of
from minispark.executor.runners import RunnerHelper, RunnerPool
from minispark.ids import ExecutorId, TaskId
from minispark.messages.cluster import (
    DecommissionExecutor,
    ExecutorStopped,
    KillTask,
    LaunchTasks,
    StatusUpdate,
    StopExecutor,
    ToExecutor,
)
from minispark.messages.coordination import AskPermissionToCommit, PermissionToCommit
from minispark.messages.heartbeat import TaskProgress
from minispark.messages.runner import (
    AnswerFailed,
    Binary,
    MapOutputs,
    NeedBinary,
    NeedMapOutputs,
    RunnerReply,
    RunnerRequest,
)
from minispark.messages.task import (
    BlockManagerId,
    IndirectResult,
    RunnerLost,
    Success,
    TaskCommitDenied,
    TaskDescription,
    TaskFailure,
    TaskKilled,
    TaskMetrics,
    TaskOutcome,
    TaskState,
)
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.failures import in_words
from minispark.rpc.message import Message
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World

__all__ = ["EXECUTOR", "Affinity", "Executor"]

EXECUTOR: Final = "Executor"
STOPPED: Final = "the executor was stopped"

Affinity = Callable[[TaskDescription], int | None]
Permits = Callable[[AskPermissionToCommit], bool]
Event = TypeVar("Event", bound=Callable[..., None])


def settled(event: Event) -> Event:
    """Have an error in an event of the pool treated like one in a message: the loop would only log it, and the
    attempt's job would wait for ever. What the event sends is handled at once (see `Dispatcher.serve`).
    """

    @wraps(event)
    def served(executor: "Executor", *args: Any) -> None:
        try:
            executor.serve(event, executor, *args)
        except Exception as error:  # noqa: BLE001 — like the boundary of a message
            executor.scope.settle(error, f"{EXECUTOR}.{event.__name__}", executor)

    return cast(Event, served)


def stay(reason: str) -> None:
    """Go on, in the process of somebody else."""


def directly(callback: Callable[..., None], *args: Any) -> None:
    """Call, and leave what it sends to the next turn."""
    callback(*args)


class Executor(RpcEndpoint):
    """Runs attempts in the slots of a pool; also the pool's `RunnerEvents`.

    Args:
        executor_id: its name in the application.
        pool: what runs the tasks; `start` starts it.
        backend: gets StatusUpdate, and ExecutorStopped if nobody asked for the stop.
        driver: the driver's endpoints that answer it and its runners.
        conf: the application's settings.
        location: where this executor's blocks are.
        world: clock and timers.
        scope: owns what the executor waits for.
        serve: calls an event of the pool and handles what it sends, as `Dispatcher.serve`.
        reregister: has the driver know of this executor, when it says that it does not.
        driver_gone: called when the driver answers no more; None: in local mode, where an executor at rest is silent.
        permits: decides about commits without a message, for tasks on this very loop, which cannot wait for one.
        migrators: hand over the blocks of an executor that was told to go.
        helpers: answer runners' questions here that the driver need not be asked.
        leave: ends the executor's process when it has gone in order or was stopped, with the reason.
        runner_gone: told when a slot's runner, with what it held, was lost.

    Attributes:
        guard: watches the memory of runners, if they are processes.
        affinity: says which slot holds what an attempt needs, if one does; None: no slot holds anything yet.
    """

    def __init__(
        self,
        executor_id: ExecutorId,
        pool: RunnerPool,
        backend: RpcEndpointRef,
        driver: DriverRefs,
        *,
        conf: SparkConf,
        location: BlockManagerId,
        world: World,
        scope: TaskScope,
        serve: Callable[..., None] = directly,
        permits: Permits | None = None,
        reregister: Callable[[], object] = lambda: None,
        driver_gone: Callable[[str], object] | None = None,
        migrators: Sequence[BlockMigrator] = (),
        helpers: Sequence[RunnerHelper] = (),
        leave: Callable[[str], object] = stay,
        runner_gone: Callable[[int], object] = lambda slot: None,
    ) -> None:
        self.executor_id = executor_id
        self.pool = pool
        self.backend = backend
        self.driver = driver
        self.conf = conf
        self.location = location
        self.world = world
        self.scope = scope
        self.affinity: Affinity | None = None
        self.runner_gone = runner_gone
        self.serve = serve
        self.permits = permits
        self.helper_for = {kind: helper for helper in helpers for kind in helper.answers_to()}
        self.helped: dict[TaskId, dict[RunnerHelper, None]] = {}
        self.slots = Slots(pool.slots)
        self.preparation = Preparation(conf.executor_binary_cache_size)
        self.heartbeater = Heartbeater(
            executor_id,
            driver.heartbeats,
            conf.executor_heartbeat_interval,
            world,
            progress=self.progress,
            reregister=reregister,
            driver_gone=driver_gone,
        )
        self.decommissioner = Decommissioner(
            migrators, world, scope, idle=lambda: not self.preparation.attempts, leave=leave
        )
        self.leave = leave
        self.guard: MemoryGuard | None = None
        self.over_limit: dict[TaskId, MemoryLimitError] = {}
        self.kept_results = KeptResults(world, scope)
        self.expiry: asyncio.TimerHandle | None = None
        self.stopping = False
        self.stop_asked: list[CallContext] = []

    async def start(self) -> None:
        """Start the runners; returns when the first can take a task.

        Raises:
            MiniSparkError: they cannot be started; the text says why.
        """
        await self.pool.start(self)
        if self.heartbeater.driver_gone is not None:
            self.heartbeater.start()

    def receive(self, message: ToExecutor, context: CallContext) -> None:
        """Handle one message."""
        match message:
            case LaunchTasks():
                for task in message.tasks:
                    self.launch(task)
            case KillTask():
                self.kill(message)
            case StopExecutor():
                self.stop(context)
            case DecommissionExecutor():
                self.decommissioner.begin(message.reason)
            case _:
                assert_never(message)

    def launch(self, task: TaskDescription) -> None:
        """Prepare an attempt and start it, now if nothing is missing."""
        now = self.world.monotonic()
        refusal = STOPPED if self.stopping else self.slots.launch(task.task_id, now)
        if refusal is not None:
            self.tell_failure(task.task_id, TaskKilled(refusal))
            return
        if self.heartbeater.timer is None:
            self.heartbeater.start()
        if self.guard is not None and self.guard.timer is None:
            self.guard.start()
        if self.decommissioner.begun:
            self.decommissioner.attempt_came()
        requests = self.preparation.launch(task, now)
        if requests is None:
            self.dispatch(task)
        else:
            for request in requests:
                self.fetch(request)

    def fetch(self, request: Request) -> None:
        """Ask the driver for something that attempts wait for."""
        question = question_of(request, self.driver, self.conf)
        self.ask(question, partial(self.fetched, request), partial(self.not_fetched, request))

    def ask(
        self, question: Question, answered: Callable[[Any], None], failed: Callable[[BaseException], None]
    ) -> None:
        """Ask, and have one of two functions called; the ask's own timeout sees to it."""

        def done(future: "asyncio.Future[Message]") -> None:
            try:
                reply = reply_of(future.result())
            except (MiniSparkError, asyncio.CancelledError) as error:
                failed(error)
            else:
                answered(reply)

        question.target.ask(question.request, question.timeout_s).add_done_callback(done)

    @settled
    def fetched(self, request: Request, content: Binary | MapOutputs) -> None:
        """Take an answer of the driver, and start the attempts that now have all they need."""
        arrived = self.preparation.arrived(request, content, self.world.monotonic())
        for task in arrived.failed:
            self.fail(task, MiniSparkError(f"the driver's map outputs are older than epoch {task.epoch}"))
        for task in arrived.prepared:
            self.dispatch(task)
        for again in arrived.requests:
            self.fetch(again)

    @settled
    def not_fetched(self, request: Request, error: BaseException) -> None:
        """Fail the attempts that waited for something that does not come."""
        for task in self.preparation.failed(request):
            self.fail(task, error)

    def fail(self, task: TaskDescription, error: BaseException) -> None:
        """End an attempt that cannot be prepared."""
        reason = MiniSparkError(f"{task.name} could not start on executor {self.executor_id}: {error}")
        self.slots.abandon(task.task_id)
        self.end(task.task_id, describe(reason, TaskMetrics()))

    def dispatch(self, task: TaskDescription) -> None:
        """Run a prepared attempt, or let it wait for a slot."""
        slot = self.slots.prepared(task.task_id, None if self.affinity is None else self.affinity(task))
        if slot is not None:
            self.pool.run(slot, task)

    def run_next(self, slot: int, task_id: TaskId) -> None:
        """Run the attempt that has a slot now."""
        self.pool.run(slot, self.preparation.task(task_id))

    def kill(self, message: KillTask) -> None:
        """End an attempt, wherever it is."""
        task_id = message.task_id
        action = self.slots.kill(task_id, message.interrupt, message.reason, self.world.monotonic())
        if action is KillAction.FORWARDED:
            slot = self.slots.running[task_id]
            self.pool.kill(slot, task_id, message.interrupt, message.reason)
        elif action is KillAction.DROPPED:
            self.end(task_id, TaskKilled(message.reason))

    def end(self, task_id: TaskId, outcome: TaskOutcome) -> None:
        """Forget an attempt and report its outcome."""
        now = self.world.monotonic()
        self.preparation.end(task_id, now)
        if self.over_limit:
            self.over_limit.pop(task_id, None)
        if task_id in self.helped:
            succeeded = isinstance(outcome, Success)
            for helper in self.helped.pop(task_id):
                helper.attempt_ended(task_id, succeeded)
        if not self.preparation.attempts and self.expiry is None:
            self.expiry = self.world.call_later(IDLE_TTL_S, self.expire)
        if isinstance(outcome, Success):
            self.backend.send(StatusUpdate(self.executor_id, task_id, TaskState.FINISHED, outcome))
            if isinstance(outcome.result, IndirectResult):
                self.kept_results.keep(outcome.result)
        else:
            self.tell_failure(task_id, outcome)
        if self.decommissioner.begun:
            self.decommissioner.attempt_ended()

    def tell_failure(self, task_id: TaskId, outcome: TaskFailure) -> None:
        """Tell the backend that an attempt ended without a result."""
        state = TaskState.KILLED if isinstance(outcome, TaskKilled | TaskCommitDenied) else TaskState.FAILED
        self.backend.send(StatusUpdate(self.executor_id, task_id, state, outcome))

    @settled
    def expire(self) -> None:
        """Let go of what no attempt has used for long; look again later while something is held."""
        self.expiry = None
        self.preparation.expire(self.world.monotonic())
        if self.preparation.holdings:
            self.expiry = self.world.call_later(IDLE_TTL_S, self.expire)

    @settled
    def runner_ready(self, slot: int) -> None:
        """Use a runner that waits; see `RunnerEvents`."""
        following = self.slots.ready(slot)
        if following is not None:
            self.run_next(slot, following)

    @settled
    def task_started(self, slot: int, task_id: TaskId) -> None:
        """Tell the backend that a long attempt runs; of short ones it only hears that they ended."""
        self.backend.send(StatusUpdate(self.executor_id, task_id, TaskState.RUNNING, None))

    @settled
    def task_finished(self, slot: int, task_id: TaskId, outcome: TaskOutcome) -> None:
        """Give the slot to the next attempt and report this one."""
        following = self.slots.finished(slot, task_id)
        if following is not None:
            self.run_next(slot, following)
        self.end(task_id, outcome)

    @settled
    def runner_lost(self, slot: int, task_id: TaskId | None, loss: RunnerLost) -> None:
        """Report the attempt that its runner took with it."""
        kill_reason = self.slots.lost(slot, task_id)
        self.runner_gone(slot)
        if task_id is None:
            return
        # If the guard ended a runner that had not begun the attempt, the next got it, and may die of something else.
        error = self.over_limit.get(task_id) if loss.signal == signal.SIGKILL else None
        outcome = loss if error is None else describe(error, TaskMetrics())
        self.end(task_id, outcome if kill_reason is None else TaskKilled(kill_reason))

    # -- memory: what the guard asks and wants done ------------------------------------------------------------------

    def has_attempts(self) -> bool:
        """Tell whether there are any; see `GuardedExecutor`."""
        return bool(self.preparation.attempts)

    def runners(self) -> Iterator[tuple[int, TaskId | None, int]]:
        """Yield what each slot's runner does and holds; see `GuardedExecutor`."""
        running = {slot: task_id for task_id, slot in self.slots.running.items()}
        for slot in range(self.pool.slots):
            size = self.pool.private_bytes(slot)
            if size is not None:
                yield slot, running.get(slot), size

    def pause(self, pauses: bool) -> None:
        """Begin no further attempts, or go on; see `GuardedExecutor`."""
        if pauses:
            self.slots.pause()
            return
        for slot, task_id in self.slots.resume():
            self.run_next(slot, task_id)

    def replace_runner(self, slot: int) -> None:
        """Replace the runner of a slot at rest; see `GuardedExecutor`."""
        if self.slots.retire(slot):
            self.pool.discard_runner(slot, None)

    def fail_attempt(self, task_id: TaskId, error: MemoryLimitError) -> None:
        """End an attempt with its runner, and report an error; see `GuardedExecutor`."""
        self.over_limit[task_id] = error
        self.pool.discard_runner(self.slots.running[task_id], task_id)

    @settled
    def runner_asked(self, slot: int, task_id: TaskId, ask_id: int, request: RunnerRequest) -> None:
        """Answer a runner from what is here or was prepared; ask the driver for what was not."""
        helper = self.helper_for.get(type(request))
        if helper is not None:
            self.helped.setdefault(task_id, {})[helper] = None
            helper.asked(task_id, request, partial(self.pool.answer, slot, ask_id))
            return
        answer: RunnerReply | None = None
        match request:
            case NeedBinary():
                answer = self.preparation.binary(request.binary_id)
            case NeedMapOutputs():
                answer = self.preparation.map_outputs(request.shuffle_id, request.epoch)
            case AskPermissionToCommit() if self.permits is not None:
                answer = PermissionToCommit(self.permits(request))
        if answer is not None:
            self.pool.answer(slot, ask_id, answer)
            return
        self.ask(
            question_of(request, self.driver, self.conf),
            lambda reply: self.pool.answer(slot, ask_id, reply),
            lambda error: self.pool.answer(slot, ask_id, AnswerFailed(in_words(error))),
        )

    def progress(self) -> tuple[TaskProgress, ...]:
        """Say how far the running attempts are."""
        now, keep_zeros = self.world.monotonic(), not self.conf.executor_heartbeat_drop_zeros
        reports = []
        for task_id, slot in self.slots.running.items():
            counters = self.pool.counters(slot) or {}
            counted = {name: value for name, value in counters.items() if value or keep_zeros}
            reports.append(TaskProgress(task_id, now - self.preparation.since(task_id), counted))
        return tuple(reports)

    def stop(self, context: CallContext) -> None:
        """End all attempts and all runners, then answer."""
        self.stop_asked.append(context)
        if self.stopping:
            return
        self.stopping = True
        self.heartbeater.stop()
        if self.guard is not None:
            self.guard.stop()
        for task_id in self.slots.waiting():
            self.slots.kill(task_id, True, STOPPED, self.world.monotonic())
            self.end(task_id, TaskKilled(STOPPED))
        self.scope.spawn(self.stop_runners(), name="stop runners", owner=self)

    async def stop_runners(self) -> None:
        """End the pool, report what it left unreported, and answer whoever waits for the stop."""
        try:
            await self.pool.stop(self.conf.executor_stop_deadline)
        finally:
            for task_id, slot in list(self.slots.running.items()):
                self.slots.lost(slot, task_id)
                self.end(task_id, TaskKilled(STOPPED))
            if self.expiry is not None:
                self.expiry.cancel()
            self.kept_results.close()
            for context in self.stop_asked:
                if context.is_ask:
                    context.reply(ExecutorStopped())
                else:
                    self.backend.send(ExecutorStopped())
            self.leave(STOPPED)
