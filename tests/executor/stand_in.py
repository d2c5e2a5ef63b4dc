"""A stand-in for the task runner, so that runner processes are tested without closures: tasks name what to do.

A task's property `do` names an action below; `partition_data` is its argument. Each result begins with the id of the
attempt, so that a reply that is given to the wrong one is noticed.
"""

import ctypes
import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import msgpack

from minispark.errors import MiniSparkError, TaskKilled
from minispark.executor.runner_main import ProcessServices
from minispark.ids import BinaryId, BlockId, StageId, TaskId
from minispark.messages import task as values
from minispark.messages.coordination import RequestToSync
from minispark.messages.runner import Binary, NeedBinary
from minispark.messages.task import DirectResult, Success, TaskDescription, TaskMetrics, TaskOutcome

__all__ = ["FACTORY", "StandIn", "StandInFailing"]

FACTORY = "tests.executor.stand_in:StandIn"
Action = Callable[[ProcessServices, bytes], Any]


class StandIn:
    """Runs actions."""

    def __init__(self, services: ProcessServices) -> None:
        self.services = services

    def run(self, task: TaskDescription) -> TaskOutcome:
        bracket = self.services.user_code
        action = ACTIONS[task.properties.get("do", "echo")]
        try:
            with bracket:
                value = action(self.services, bytes(task.partition_data))
        except TaskKilled as error:
            return values.TaskKilled(str(error))
        if bracket.killed:
            return values.TaskKilled(bracket.reason)
        head = msgpack.packb(task.task_id)
        return Success(DirectResult(False, (head + msgpack.packb(value),)), TaskMetrics())

    def drop_blocks(self, block_ids: tuple[BlockId, ...]) -> None:
        """Hold nothing that could be dropped."""


class StandInFailing:
    """Cannot be made."""

    def __init__(self, services: ProcessServices) -> None:
        raise RuntimeError("this factory is broken")


def echo(services: ProcessServices, argument: bytes) -> Any:
    return argument


def spin(services: ProcessServices, argument: bytes) -> Any:
    """Compute until killed, or for so many rounds."""
    rounds = int(argument or b"1000000000")
    total = 0
    for number in range(rounds):
        total += number % 7
    return total


def sleep(services: ProcessServices, argument: bytes) -> Any:
    time.sleep(float(argument or b"60"))


def swallow(services: ProcessServices, argument: bytes) -> Any:
    """Ignore being killed, from the first record on."""
    metrics = services.new_metrics()
    while True:
        try:
            metrics.records_read = 1
            time.sleep(60)
        except BaseException:  # noqa: BLE001 — that is the point
            continue


def stubborn(services: ProcessServices, argument: bytes) -> Any:
    """Ignore being killed, from the first record on, until a file is there."""
    metrics = services.new_metrics()
    while True:
        try:
            metrics.records_read = 1
            while not os.path.exists(argument):
                time.sleep(0.005)
        except BaseException:  # noqa: BLE001 — that is the point
            continue
        return None


def patient(services: ProcessServices, argument: bytes) -> Any:
    """Go on until a file is there."""
    while not os.path.exists(argument):
        time.sleep(0.005)


def count_up(services: ProcessServices, argument: bytes) -> Any:
    """Count records until killed."""
    metrics = services.new_metrics()
    while True:
        metrics.records_read += 1


class Sleeper:
    def __del__(self) -> None:
        time.sleep(60)


def finaliser(services: ProcessServices, argument: bytes) -> Any:
    """Be in a finaliser, where an exception is swallowed, when the kill comes; then go on."""
    sleeper: Sleeper | None = Sleeper()
    del sleeper
    return spin(services, b"")


def poll_flag(services: ProcessServices, argument: bytes) -> Any:
    """Wait politely for the flag of a kill that does not interrupt."""
    while not services.user_code.killed:
        time.sleep(0.001)
    return services.user_code.reason


def leave(services: ProcessServices, argument: bytes) -> Any:
    os._exit(int(argument))


def crash(services: ProcessServices, argument: bytes) -> Any:
    ctypes.string_at(0)


def kill_self(services: ProcessServices, argument: bytes) -> Any:
    os.kill(os.getpid(), int(argument))
    time.sleep(60)


def escape(services: ProcessServices, argument: bytes) -> Any:
    """Raise what the stand-in does not catch."""
    raise MemoryError("no room left")


def close_everything(services: ProcessServices, argument: bytes) -> Any:
    os.closerange(3, 1000)


def ask(services: ProcessServices, argument: bytes) -> Any:
    try:
        answer = services.ask(NeedBinary(BinaryId(int(argument))))
    except MiniSparkError as error:
        return str(error)
    assert isinstance(answer, Binary)
    return len(answer.data)


def wait_for_others(services: ProcessServices, argument: bytes) -> Any:
    """Wait in a barrier; with an argument on a thread."""
    request = RequestToSync(StageId(1), 0, TaskId(0), 0, 0, "all_gather", "me")
    reply: list[Any] = []
    if argument:
        thread = threading.Thread(target=lambda: reply.append(services.ask(request)))
        thread.start()
        thread.join()
    else:
        reply.append(services.ask(request))
    return list(reply[0].messages)


def ask_in_thread(services: ProcessServices, argument: bytes) -> Any:
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(services, argument))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def come_back_twice(services: ProcessServices, argument: bytes) -> Any:
    """Fork, and let the child come back from user code as well."""
    if not os.fork():
        services.page.begin(99)  # type: ignore[arg-type]
        return "the child"
    os.wait()
    return "the parent"


def grandchild(services: ProcessServices, argument: bytes) -> Any:
    """Start a process that outlives the task; with an argument in a session of its own."""
    child = subprocess.Popen(["sleep", "600"], start_new_session=bool(argument))
    child.returncode = 0  # not waited for
    return child.pid


def facts(services: ProcessServices, argument: bytes) -> Any:
    """Describe the process."""
    return {
        "pid": os.getpid(),
        "ppid": os.getppid(),
        "group": os.getpgrp(),
        "session": os.getsid(0),
        "fds": len(os.listdir("/proc/self/fd")) - 1,
        "links": sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in range(3)),
        "policy": os.sched_getscheduler(0),
        "gc": gc.isenabled(),
        "thresholds": gc.get_threshold(),
        "frozen": gc.get_freeze_count(),
        "modules": sorted(sys.modules),
        "path": sys.path,
        "directory": os.getcwd(),
        "environment": dict(os.environ),
        "threads": threading.active_count(),
        "sigint": signal.getsignal(signal.SIGINT) is signal.SIG_DFL,
        "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
        "line_buffered": sys.stdout.line_buffering,
        "main": sys.modules["__main__"].__dict__.get("__file__"),
    }


def chance(services: ProcessServices, argument: bytes) -> Any:
    numpy = sys.modules.get("numpy")
    return [random.random(), None if numpy is None else float(numpy.random.random())]


def hashes(services: ProcessServices, argument: bytes) -> Any:
    return [hash("spark"), hash(b"spark"), hash(("a", 1, "b"))]


def write(services: ProcessServices, argument: bytes) -> Any:
    sys.stdout.write(argument.decode())


ACTIONS: dict[str, Action] = {
    action.__name__: action
    for action in (
        echo, spin, sleep, swallow, stubborn, patient, count_up, finaliser, poll_flag, leave, crash, kill_self,
        escape, close_everything, ask, ask_in_thread, wait_for_others, come_back_twice, grandchild, facts, chance,
        hashes, write,
    )
}  # fmt: skip
