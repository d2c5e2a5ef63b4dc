"""A runner process: takes one task at a time from its executor, runs it, says how it ended.

`nursery` calls `run` in the child of a fork. Trusts nothing but the descriptors it was given. What runs the tasks
comes from a factory, `task_runner.TaskRunner` unless the zygote was told otherwise. Must not import asyncio.
"""

import contextlib
import importlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any, Final, NoReturn, Protocol

from minispark.conf import SparkConf
from minispark.errors import MiniSparkError, ProtocolError, TaskKilled
from minispark.executor.channel import RunnerChannel
from minispark.executor.kill_bracket import KILL_SIGNAL, KillBracket
from minispark.executor.progress import PageMetrics
from minispark.executor.shared_page import SharedPage
from minispark.ids import BinaryId, BlockId, ExecutorId, JobId, StageId, TaskId
from minispark.messages.coordination import RequestToSync
from minispark.messages.runner import (
    AnswerFailed,
    Binary,
    ForgetBroadcasts,
    KillAnswered,
    KillAttempt,
    NeedClass,
    RunnerAnswer,
    RunnerAsk,
    RunnerReady,
    RunnerReply,
    RunnerRequest,
    RunTask,
    StartZygote,
    TaskFinished,
)
from minispark.messages.runner_blocks import DropLiveBlocks
from minispark.messages.task import (
    BlockManagerId,
    DirectResult,
    ExceptionFailure,
    Success,
    TaskDescription,
    TaskMetrics,
    TaskOutcome,
)
from minispark.rdd import closures
from minispark.rdd.ports import MutableTaskMetrics
from minispark.rdd.runner_side import forget
from minispark.rpc.logic.codec import decode, encode

__all__ = ["ProcessServices", "TaskRunnerLike", "run", "warm_up"]

STRAY_THREAD_ROUND_MS: Final = 100


class TaskRunnerLike(Protocol):
    """What a runner factory makes."""

    def run(self, task: TaskDescription) -> TaskOutcome:
        """Run one attempt; whatever it raises ends the process."""

    def drop_blocks(self, block_ids: tuple[BlockId, ...]) -> None:
        """Let go of the objects of persisted partitions."""


def factory_of(spec: str) -> Callable[["ProcessServices"], TaskRunnerLike]:
    """Return the function that `module:function` names."""
    module, _, name = spec.partition(":")
    made: Callable[[ProcessServices], TaskRunnerLike] = getattr(importlib.import_module(module), name)
    return made


def warm_up(spec: str) -> None:
    """Import what runners need and build the codecs of their messages, once for all of them."""
    factory_of(spec)
    task = TaskDescription(
        TaskId(0), 0, ExecutorId(""), JobId(0), StageId(0), 0, 0, 0, BinaryId(0), 0, 1, (), {}, b""
    )
    success = Success(DirectResult(rows=False, batches=()), TaskMetrics())
    for message in (
        RunTask(0, task),
        TaskFinished(0, TaskId(0), success),
        KillAttempt(0, TaskId(0), True, ""),
        KillAnswered(0, TaskId(0)),
        RunnerReady(0, 0),
        RunnerAnswer(0, 0, Binary(b"")),
    ):
        decode(*encode(message))


def run(incarnation: int, fds: list[int], start: StartZygote) -> None:
    """Be a runner until the executor ends the conversation.

    Args:
        incarnation: the runner's number.
        fds: conversation, control socket and shared page.
        start: what the zygote was told.

    Raises:
        Exception: the runner cannot go on.
    """
    try:
        Runner(incarnation, fds, start).serve()
    except (EOFError, ConnectionError):
        pass  # the executor is gone: the regular end
    finally:
        flush()


def yield_to_executor() -> None:
    """Have the kernel let the executor finish its turn before it runs this process, which a message just woke.

    Otherwise the executor is interrupted by the very task that it sends, which on two cores costs a quarter of the
    tasks per second. The shares of the processors stay the same; but where other programs keep all of them busy, a
    runner waits for its turn instead of interrupting those.
    """
    if os.sched_getscheduler(0) == os.SCHED_OTHER:  # a policy that the host chose stays
        with contextlib.suppress(OSError):  # a sandbox may forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def flush() -> None:
    """Show what tasks have printed; a task may have closed or replaced the streams."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except Exception:  # noqa: BLE001, S110 — whose stream it is by now is unknown, and nobody is left to be told
        pass


class ProcessServices:
    """What a runner process gives to its tasks; see `task_runner.RunnerServices`.

    Attributes:
        location: where the executor's blocks are.
        conf: the application's settings.
        user_code: the bracket in which kills strike.
        page: what the executor sees of the running attempt.
    """

    def __init__(self, runner: "Runner", location: BlockManagerId, conf: SparkConf) -> None:
        self.runner = runner
        self.location = location
        self.conf = conf
        self.user_code = runner.bracket
        self.page = runner.page

    def new_metrics(self) -> MutableTaskMetrics:
        """Return the metrics of the attempt that begins; their counters are in the page."""
        return PageMetrics(self.page)

    def ask(self, request: RunnerRequest) -> RunnerReply:
        """Ask the executor and wait for its answer; any thread of the attempt may.

        Raises:
            MiniSparkError: it could not answer; the text says why.
            TaskKilled: the attempt was killed while it waited inside the user-code bracket.
        """
        return self.runner.ask(request)


class Runner:
    """One runner process.

    Args:
        incarnation: its number, in every message.
        fds: conversation, control socket and shared page.
        start: what the zygote was told.
    """

    def __init__(self, incarnation: int, fds: list[int], start: StartZygote) -> None:
        link, control, page = fds
        conf = SparkConf(environment={})
        conf.texts.update(start.conf)
        self.incarnation = incarnation
        self.channel = RunnerChannel(socket.socket(fileno=link), conf.rpc_message_max_size)
        self.control = socket.socket(fileno=control)
        self.control.setblocking(False)  # the signal handler empties it
        self.channel.watch(control)
        self.bracket = KillBracket(self.control, incarnation)
        self.page = SharedPage(page)
        self.lock = threading.Lock()
        self.main_thread = threading.get_ident()
        self.task_id = TaskId(-1)
        self.last_ask = 0
        self.forked = False
        closures.install_main(self.ask_for_class)
        self.task_runner = factory_of(start.runner_factory)(ProcessServices(self, start.location, conf))

    def serve(self) -> NoReturn:
        """Take tasks until the executor is gone.

        Raises:
            EOFError: it is gone.
            OSError: likewise.
        """
        self.bracket.watch_unraisable()
        signal.signal(KILL_SIGNAL, self.bracket.on_signal)
        yield_to_executor()
        os.register_at_fork(after_in_child=self.leave_in_child)
        self.channel.send(RunnerReady(self.incarnation, os.getpid()))
        while True:
            with self.lock:
                message = self.next_message()
            if message.__class__ is RunTask and message.incarnation == self.incarnation:
                self.run_task(message.task)
            elif message.__class__ is ForgetBroadcasts:
                forget(message.broadcast_ids)
            elif message.__class__ is DropLiveBlocks:
                self.task_runner.drop_blocks(message.block_ids)

    def next_message(self) -> Any:
        """Wait for the next message; kills are answered meanwhile, whether or not their signal is noticed."""
        while True:
            self.channel.wait()
            try:
                return self.channel.receive()
            except BlockingIOError:
                self.bracket.take_kills()

    def run_task(self, task: TaskDescription) -> None:
        """Run one attempt and report it."""
        task_id = self.task_id = task.task_id
        self.page.begin(task_id)
        self.bracket.begin(task_id)
        outcome = self.task_runner.run(task)
        if self.forked:  # user code forked, and its child came back here: only the runner itself reports
            os._exit(0)
        self.bracket.end()
        self.task_id = TaskId(-1)
        self.page.end()
        flush()
        with self.lock:
            self.report(task_id, outcome)

    def report(self, task_id: TaskId, outcome: TaskOutcome) -> None:
        """Send an outcome; one that cannot be sent makes the attempt fail."""
        try:
            self.channel.send(TaskFinished(self.incarnation, task_id, outcome))
        except ProtocolError as error:
            failure = ExceptionFailure(type(error).__name__, str(error), "", "", b"", TaskMetrics())
            self.channel.send(TaskFinished(self.incarnation, task_id, failure))

    def ask(self, request: RunnerRequest) -> RunnerReply:
        """Ask the executor and wait; see `ProcessServices.ask`."""
        if threading.get_ident() != self.main_thread:
            return self.ask_from_thread(request)
        bracket = self.bracket
        bracket.heeds_all = isinstance(request, RequestToSync)
        try:
            with bracket.unarmed() as span, self.lock:
                ask_id = self.send_ask(request)
                while (answer := self.take_answer(ask_id)) is None:
                    span.wait(self.channel.wait)
                    bracket.take_kills()
        finally:
            bracket.heeds_all = False
        return checked(answer)

    def ask_for_class(self, qualified_name: str) -> bytes:
        """Ask the driver for a class of its `__main__`."""
        answer = self.ask(NeedClass(qualified_name))
        assert isinstance(answer, Binary)
        return bytes(answer.data)

    def ask_from_thread(self, request: RunnerRequest) -> RunnerReply:
        """Ask from a thread that user code started; kills never strike there, so it watches for the attempt's end."""
        task_id = self.task_id
        with self.lock:
            self.expect_running(task_id)
            ask_id = self.send_ask(request)
            while (answer := self.take_answer(ask_id)) is None:
                self.expect_running(task_id)
                if self.bracket.killed and isinstance(request, RequestToSync):
                    raise TaskKilled(self.bracket.reason)
                self.channel.wait(STRAY_THREAD_ROUND_MS)
        return checked(answer)

    def expect_running(self, task_id: TaskId) -> None:
        """End a thread that outlived its attempt, and quietly: `threading` prints every other exception."""
        if self.task_id != task_id or task_id < 0:
            raise SystemExit("the attempt that this thread worked for has ended")

    def send_ask(self, request: RunnerRequest) -> int:
        """Send a request; return its number."""
        self.last_ask += 1
        self.channel.send(RunnerAsk(self.incarnation, self.task_id, self.last_ask, request))
        return self.last_ask

    def take_answer(self, ask_id: int) -> Any:
        """Return the answer to that request if it is here; drop those to requests that were given up."""
        try:
            while True:
                message = self.channel.receive()
                if message.__class__ is RunnerAnswer and message.ask_id == ask_id:
                    return message.answer
                if message.__class__ is ForgetBroadcasts:
                    forget(message.broadcast_ids)
                elif message.__class__ is DropLiveBlocks:
                    self.task_runner.drop_blocks(message.block_ids)
        except BlockingIOError:
            return None

    def leave_in_child(self) -> None:
        """Cut the child of a fork by user code off from the executor: it is not the runner."""
        self.forked = True
        signal.signal(KILL_SIGNAL, signal.SIG_DFL)
        self.page.detach()
        self.channel.close()
        self.control.close()


def checked(answer: Any) -> RunnerReply:
    """Return an answer.

    Raises:
        MiniSparkError: it says that there is none.
    """
    if isinstance(answer, AnswerFailed):
        raise MiniSparkError(answer.error)
    assert isinstance(answer, RunnerReply)
    return answer
