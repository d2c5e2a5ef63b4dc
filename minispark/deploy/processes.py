"""Starts the processes of a worker and ends them, with all that belongs to them. Used by the runners of executors and
drivers; a simulation hands the worker a launcher of its own instead.

Must not know what the processes are for.
"""

import asyncio
import contextlib
import os
import resource
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from minispark.deploy.process_log import LogRoller, RolledLog
from minispark.rpc.world import ChildProcess, World

__all__ = ["ProcessCommand", "ProcessLauncher", "RunningProcess", "SystemLauncher", "limit"]

MAX_FILES = 1 << 16
WORD_SIZE = 64


@dataclass(frozen=True)
class ProcessCommand:
    """What to start.

    Args:
        argv: the program and its arguments; with a lifeline, `--lifeline FD` is added.
        environment: all of its environment.
        directory: where it runs; it exists.
        logs: where its stdout and stderr go.
        lifeline: a line that the process reads from its lifeline, whose other end closes when the worker is gone;
            None: it gets no lifeline. It holds a secret, as the environment may: neither is ever shown.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    directory: Path
    logs: tuple[RolledLog, RolledLog]
    lifeline: bytes | None = field(default=None, repr=False)


class RunningProcess(Protocol):
    """A process of the worker."""

    @property
    def pid(self) -> int:
        """The process id."""

    async def ended(self) -> int:
        """Wait for its end and that of its session; return its exit code (negative: the signal)."""

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""

    def kill(self) -> None:
        """End it and its process group (SIGKILL)."""


class ProcessLauncher(Protocol):
    """Starts processes."""

    def launch(self, command: ProcessCommand, ready: Callable[[], object] = int) -> RunningProcess:
        """Start a process; raises OSError if there is no such program, or the system refuses.

        Args:
            command: what to start.
            ready: called when the process says on its lifeline that it does what it is for; not if it never does.
        """


class SystemLauncher:
    """Starts real processes.

    Args:
        world: starts them.
        roller: looks after their logs.
    """

    def __init__(self, world: World, roller: LogRoller) -> None:
        self.world = world
        self.roller = roller

    def launch(self, command: ProcessCommand, ready: Callable[[], object] = int) -> "SystemProcess":
        """Start a process, which leads a session of its own."""
        with contextlib.ExitStack() as ours:
            output = [log.open() for log in command.logs]
            for fd in output:
                ours.callback(os.close, fd)
            argv, lifeline, passed = list(command.argv), None, []
            if command.lifeline is not None:
                lifeline, theirs = self.world.socket_pair(socket.SOCK_STREAM)
                ours.enter_context(theirs)
                lifeline.sendall(command.lifeline)  # a line: there is room for it
                passed = [theirs.fileno()]
                argv += ["--lifeline", str(theirs.fileno())]
            try:
                child = self.world.spawn_process(
                    argv, environment=command.environment, pass_fds=passed, directory=command.directory,
                    output=(output[0], output[1]),
                )  # fmt: skip
            except BaseException:
                if lifeline is not None:
                    lifeline.close()
                raise
        limit(child.pid)
        self.roller.add(*command.logs)
        return SystemProcess(self, child, command.logs, None if lifeline is None else Listener(lifeline, ready))


class Listener:
    """The worker's end of a lifeline: hears that the process is ready.

    Args:
        lifeline: this end of it.
        ready: called once, when the process has said anything.
    """

    def __init__(self, lifeline: socket.socket, ready: Callable[[], object]) -> None:
        self.lifeline = lifeline
        self.ready = ready
        self.loop = asyncio.get_running_loop()
        lifeline.setblocking(False)
        self.loop.add_reader(lifeline, self.on_readable)

    def on_readable(self) -> None:
        """Hear the process's only word, or that it will never say it."""
        self.loop.remove_reader(self.lifeline)
        with contextlib.suppress(OSError):
            if self.lifeline.recv(WORD_SIZE):
                self.ready()

    def close(self) -> None:
        """Cut the line."""
        self.loop.remove_reader(self.lifeline)
        self.lifeline.close()


class SystemProcess:
    """A real process, the leader of a session; made by `SystemLauncher`."""

    def __init__(
        self,
        launcher: SystemLauncher,
        child: ChildProcess,
        logs: tuple[RolledLog, RolledLog],
        lifeline: "Listener | None",
    ) -> None:
        self.launcher = launcher
        self.child = child
        self.logs = logs
        self.lifeline = lifeline
        self.gone = False

    @property
    def pid(self) -> int:
        """The process id."""
        return self.child.pid

    async def ended(self) -> int:
        """Wait for its end, end what is left of its session, and return its exit code.

        The rest is ended before the process is waited for: as long as it is not, nobody else can have its id.
        """
        world = self.launcher.world
        try:
            await world.child_ended(self.child)
            await world.run_blocking(kill_session, self.pid)
        finally:
            self.launcher.roller.remove(*self.logs)
            if self.lifeline is not None:
                self.lifeline.close()
        self.gone = True
        return self.child.wait()

    def terminate(self) -> None:
        """Ask it to end."""
        if not self.gone:
            self.child.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and its process group."""
        if not self.gone:
            kill_group(self.pid)


def limit(pid: int) -> None:
    """Let a process open as many files as it may (a shuffle has many), and leave no dump of users' data."""
    with contextlib.suppress(OSError):  # it may have ended already
        _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        soft = MAX_FILES if most == resource.RLIM_INFINITY else min(most, MAX_FILES)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, most))
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, resource.prlimit(pid, resource.RLIMIT_CORE)[1]))


def kill_group(leader: int) -> None:
    """End a process group; nothing happens if it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def kill_session(leader: int, proc: Path = Path("/proc")) -> None:
    """End all processes of a session but those that began one of their own. Blocking: looks at every process."""
    kill_group(leader)
    for path in proc.iterdir():
        if path.name.isdecimal() and int(path.name) != leader and session_of(path) == leader:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(path.name), signal.SIGKILL)


def session_of(path: Path) -> int:
    """Return the session of a process, from its folder in /proc; 0 if it is gone."""
    try:
        # pid (name) state parent group session …: a name may hold anything, also brackets and spaces
        return int((path / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[3])
    except (OSError, IndexError):
        return 0
