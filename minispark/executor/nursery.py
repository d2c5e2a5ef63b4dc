"""The zygote at work: forks runners, watches over them, and leaves nothing behind.

Started by `zygote` once modules can be found. Single-threaded for ever, or forking would not be safe. It learns of
exits from waitpid, and of its executor's end from the end of the control socket; then it kills all that descends from
it and removes the session directory. (A zygote that cannot start leaves that alone: its executor lives, and may try
the next.) Must not run user code, except to import what is to be preloaded.
"""

import contextlib
import ctypes
import faulthandler
import gc
import importlib
import os
import random
import select
import shutil
import signal
import socket
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from minispark.errors import ConfigurationError
from minispark.executor import runner_main
from minispark.executor.session import remove_folder
from minispark.executor.zygote import CONTROL_PACKET_SIZE
from minispark.messages.runner import (
    ForkRunner,
    KillRunner,
    RunnerExited,
    RunnerForked,
    StartZygote,
    ZygoteFailed,
    ZygoteReady,
)
from minispark.rpc.logic.codec import decode, encode
from minispark.rpc.message import Message
from minispark.storage.memory_folder import remove_memory

__all__ = ["run"]

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
MAX_FDS = 3
FAULT_TEXT_BYTES = 16 * 1024
EXIT_BROKEN = 70  # of a runner that could not go on; why is in its fault text
CLEANING_ROUND_MS = 50
CLEANING_ROUNDS = 30

libc = ctypes.CDLL(None, use_errno=True)


@dataclass(slots=True)
class Child:
    """A runner: its number, and the file that its faulthandler writes to."""

    incarnation: int
    fault_fd: int


def run(control: socket.socket) -> None:
    """Be a zygote until the control socket ends."""
    packet = control.recv(CONTROL_PACKET_SIZE)
    if not packet:  # the executor ended before it knew what to be
        return
    start = decode(packet)
    assert isinstance(start, StartZygote)
    nursery = Nursery(control, start)
    try:
        nursery.prepare()
    except Exception as error:  # noqa: BLE001 — whatever a preloaded module raises
        tell(control, ZygoteFailed(explain(error)))
        while control.recv(CONTROL_PACKET_SIZE):  # forks that were asked for beforehand, then its end
            pass
        nursery.close()
    else:
        with contextlib.suppress(EOFError):
            nursery.serve()
        nursery.close()
        remove(start.directory, start.kept)


def explain(error: Exception) -> str:
    """Return why a zygote cannot start."""
    return str(error) if isinstance(error, ConfigurationError) else f"{type(error).__name__}: {error}"


def tell(control: socket.socket, message: Message) -> None:
    """Say something to the executor; if it is gone, the next read finds that out."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        control.send(encode(message)[0])


def thread_count() -> int:
    """Return how many threads this process has, Python's or not."""
    return len(os.listdir("/proc/self/task"))


def preload(modules: tuple[str, ...]) -> None:
    """Import modules for all runners.

    Raises:
        ConfigurationError: one cannot be imported or started a thread; the text names it.
    """
    for name in modules:
        threads = thread_count()
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as error:
            raise ConfigurationError(
                f"minispark.executor.preload: {name} cannot be imported: {type(error).__name__}: {error}"
            ) from error
        if thread_count() > threads:
            raise ConfigurationError(
                f"minispark.executor.preload: importing {name} starts a thread, and a process with threads cannot be "
                "forked safely; import it inside the tasks instead"
            )


class Nursery:
    """The zygote's state: its runners by process id.

    Args:
        control: the socket to the executor, one packet a message.
        start: what the executor said first.
    """

    def __init__(self, control: socket.socket, start: StartZygote) -> None:
        self.control = control
        self.start = start
        self.pid = os.getpid()
        self.children: dict[int, Child] = {}
        self.wakeup, self.waker = socket.socketpair()
        self.wakeup.setblocking(False)
        self.waker.setblocking(False)
        self.preloaded_fds: tuple[int, ...] = ()

    def prepare(self) -> None:
        """Import everything, and become the one that orphans and exits are reported to."""
        start = self.start
        for name in start.unset:
            os.environ.pop(name, None)
        os.environ.update(start.environment)
        move(start)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(AttributeError):  # the host may have none, or one of its own kind
                stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        runner_main.warm_up(start.runner_factory)
        own = open_fds()
        preload(start.preload)
        self.preloaded_fds = tuple(open_fds() - own)
        signal.signal(signal.SIGCHLD, note_signal)
        signal.set_wakeup_fd(self.waker.fileno(), warn_on_full_buffer=False)
        gc.collect()
        gc.freeze()
        tell(self.control, ZygoteReady(self.pid))

    def serve(self) -> NoReturn:
        """Do what the executor says and report exits.

        Raises:
            EOFError: the executor is gone.
        """
        poller = select.poll()
        poller.register(self.control, select.POLLIN)
        poller.register(self.wakeup, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poller.poll()}
            if self.wakeup.fileno() in ready:
                self.reap()
            if self.control.fileno() in ready:
                self.take_packet()

    def take_packet(self) -> None:
        """Read one message and do it."""
        try:
            packet, fds, _, _ = socket.recv_fds(self.control, CONTROL_PACKET_SIZE, MAX_FDS)
        except ConnectionResetError:
            raise EOFError from None
        if not packet:
            raise EOFError
        match decode(packet):
            case ForkRunner(incarnation):
                self.fork(incarnation, fds)
            case KillRunner(incarnation, number):
                self.kill(incarnation, number)
            case other:
                raise AssertionError(f"a zygote does not understand {type(other).__name__}")

    def fork(self, incarnation: int, fds: list[int]) -> None:
        """Fork a runner around its descriptors."""
        fault_fd = os.memfd_create("minispark-fault-text")
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            pid = os.fork()
        except OSError as error:
            os.close(fault_fd)
            tell(self.control, RunnerExited(incarnation, None, 0, f"it could not be forked: {error}"))
            return
        else:
            if not pid:
                self.become_runner(incarnation, fds, fault_fd)
            with contextlib.suppress(OSError):  # the runner does it too; whoever is first
                os.setpgid(pid, pid)
            self.children[pid] = Child(incarnation, fault_fd)
            tell(self.control, RunnerForked(incarnation, pid))
        finally:
            for fd in fds:
                os.close(fd)

    def become_runner(self, incarnation: int, fds: list[int], fault_fd: int) -> NoReturn:
        """Turn the child of a fork into a runner; ends the process."""
        code = EXIT_BROKEN
        try:
            os.setpgid(0, 0)
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != self.pid:
                os._exit(code)
            restore_signals()
            close_others({0, 1, 2, fault_fd, *fds, *self.preloaded_fds})
            reseed()
            gc.enable()
            faulthandler.enable(fault_fd)
            runner_main.run(incarnation, fds, self.start)
            code = 0
        except BaseException:  # noqa: BLE001 — the process ends here, and the executor is to know why
            os.write(fault_fd, traceback.format_exc().encode("utf-8", "replace"))
        finally:
            os._exit(code)

    def kill(self, incarnation: int, number: int) -> None:
        """Send a signal to a runner; SIGKILL to its whole process group."""
        for pid, child in self.children.items():
            if child.incarnation == incarnation:
                send = os.killpg if number == signal.SIGKILL else os.kill
                with contextlib.suppress(OSError):
                    send(pid, number)

    def reap(self) -> None:
        """Collect every child that has ended; what a runner started and left behind ends with it."""
        with contextlib.suppress(BlockingIOError):
            while self.wakeup.recv(4096):
                pass
        with contextlib.suppress(ChildProcessError):
            while (facts := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                pid = facts.si_pid
                child = self.children.pop(pid, None)
                if child is not None:  # before waitpid, so that the number cannot have become another group's
                    with contextlib.suppress(OSError):
                        os.killpg(pid, signal.SIGKILL)
                _, status = os.waitpid(pid, 0)
                if child is not None:
                    self.report(child, os.waitstatus_to_exitcode(status))

    def report(self, child: Child, code: int) -> None:
        """Tell the executor of a runner's end."""
        text = os.pread(child.fault_fd, FAULT_TEXT_BYTES, 0).decode("utf-8", "replace").strip()
        os.close(child.fault_fd)
        tell(self.control, RunnerExited(child.incarnation, code if code >= 0 else None, max(-code, 0), text))

    def close(self) -> None:
        """Kill all that descends from this process."""
        poller = select.poll()
        poller.register(self.wakeup, select.POLLIN)
        for pid in self.children:
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
        for _ in range(CLEANING_ROUNDS):  # a process that hangs in the kernel must not keep the files
            self.reap()
            left = own_children()
            if not left:
                break
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            poller.poll(CLEANING_ROUND_MS)
        signal.set_wakeup_fd(-1)
        self.wakeup.close()
        self.waker.close()


def own_children() -> list[int]:
    """Return the ids of this process's children, orphans that came to it included."""
    try:
        return [int(pid) for pid in Path("/proc/thread-self/children").read_text(encoding="ascii").split()]
    except OSError:
        return []


def move(start: StartZygote) -> None:
    """Go to where the driver is, and find modules where it does."""
    if start.sys_path:
        sys.path[:] = start.sys_path
    if start.working_directory:
        with contextlib.suppress(OSError):  # it was there a moment ago
            os.chdir(start.working_directory)


def remove(directory: str, kept: tuple[str, ...]) -> None:
    """Remove a session directory, and nothing that does not look like one; entries that others need stay."""
    if not directory:
        return
    remove_memory(directory)  # also where somebody else was faster with the rest
    if not (Path(directory) / "lock").is_file():
        return
    if not kept:
        remove_folder(Path(directory))
        return
    for entry in Path(directory).iterdir():
        inside = tuple(each.partition("/")[2] for each in kept if each.startswith(f"{entry.name}/"))
        if inside:
            remove_others(entry, inside)
        elif entry.is_dir() and entry.name not in kept:
            shutil.rmtree(entry, ignore_errors=True)


def remove_others(folder: Path, kept: tuple[str, ...]) -> None:
    """Remove the files of a folder, but for those whose names begin like what stays."""
    for entry in folder.iterdir():
        if not entry.name.startswith(kept):
            with contextlib.suppress(OSError):
                entry.unlink()


def open_fds() -> set[int]:
    """Return the descriptors that are open."""
    names = os.listdir("/proc/self/fd")
    return {int(name) for name in names if Path("/proc/self/fd", name).is_symlink()}  # not the one that listed them


def close_others(keep: set[int]) -> None:
    """Close every descriptor but these."""
    below = 0
    for fd in [*sorted(keep), os.sysconf("SC_OPEN_MAX")]:
        if below < fd:  # closerange(0, 0) closes everything
            os.closerange(below, fd)
        below = fd + 1


def note_signal(number: int, frame: FrameType | None) -> None:
    """Handle SIGCHLD: that it has a handler is what writes to the wakeup socket."""


def restore_signals() -> None:
    """Undo what the zygote did to signals."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def reseed() -> None:
    """Give this process chance of its own: forks would all draw the same numbers."""
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
