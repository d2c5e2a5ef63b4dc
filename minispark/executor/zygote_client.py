"""The executor's handle on its zygote: tells it what to be, asks for forks, hears of exits; for `process_pool` alone.

Everything is a callback on the loop; a zygote that dies is reported once, and the pool starts another. Must not know
what slots or tasks are.
"""

import asyncio
import os
import signal
import socket
from collections import deque
from typing import Protocol

from minispark.errors import MiniSparkError
from minispark.executor.zygote import CONTROL_PACKET_SIZE
from minispark.executor.zygote_process import ZygoteProcess
from minispark.messages.runner import (
    ForkRunner,
    KillRunner,
    RunnerExited,
    RunnerForked,
    ToZygote,
    ZygoteFailed,
    ZygoteReady,
)
from minispark.rpc.logic.codec import decode, encode

__all__ = ["ZygoteClient", "ZygoteEvents", "ending"]


class ZygoteEvents(Protocol):
    """What the pool hears; never called from inside a method of the client."""

    def zygote_ready(self) -> None:
        """Forks can be asked for."""

    def runner_forked(self, incarnation: int, pid: int) -> None:
        """A runner has this process id."""

    def runner_exited(self, exited: RunnerExited) -> None:
        """A runner is gone."""

    def zygote_gone(self, reason: str) -> None:
        """The zygote could not start, or died, and all its runners with it."""


class ZygoteClient:
    """One zygote process, talked to.

    Args:
        loop: the running loop.
        events: told what the zygote says.
        process: the process, which is the client's from now on.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, events: ZygoteEvents, process: ZygoteProcess) -> None:
        self.loop = loop
        self.events = events
        self.process = process
        self.control: socket.socket | None = process.control
        self.failure = ""
        self.queue: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self.gone: asyncio.Future[None] = loop.create_future()
        loop.add_reader(process.pidfd, self.on_exit)
        loop.add_reader(process.control.fileno(), self.on_readable)

    @property
    def pid(self) -> int:
        """The zygote's process id."""
        return self.process.child.pid

    def fork(self, incarnation: int, fds: tuple[int, ...]) -> None:
        """Ask for a runner around conversation, control socket and page; the descriptors become the client's."""
        self.send(ForkRunner(incarnation), fds)

    def signal(self, incarnation: int, number: int) -> None:
        """Have a signal sent to a runner; SIGKILL goes to its process group."""
        self.send(KillRunner(incarnation, number))

    def send(self, message: ToZygote, fds: tuple[int, ...] = ()) -> None:
        """Send a message and descriptors, which are closed afterwards."""
        self.post(encode(message)[0], fds)

    def post(self, packet: bytes, fds: tuple[int, ...] = ()) -> None:
        """Send a packet, now or when there is room."""
        if len(packet) > CONTROL_PACKET_SIZE:
            raise MiniSparkError(f"what the zygote has to be told takes {len(packet)} bytes, which is too much")
        if self.queue or not self.try_send(packet, fds):
            if not self.queue and self.control is not None:
                self.loop.add_writer(self.control.fileno(), self.on_writable)
            self.queue.append((packet, fds))

    def try_send(self, packet: bytes, fds: tuple[int, ...]) -> bool:
        """Send a packet; False if there is no room now. To a zygote that is gone, it is dropped."""
        try:
            if self.control is not None:
                socket.send_fds(self.control, [packet], fds)
        except BlockingIOError:
            return False
        except OSError:
            pass
        for fd in fds:
            os.close(fd)
        return True

    def on_writable(self) -> None:
        """Send on."""
        while self.queue and self.try_send(*self.queue[0]):
            self.queue.popleft()
        if not self.queue and self.control is not None:
            self.loop.remove_writer(self.control.fileno())

    def on_readable(self) -> None:
        """Pass on what the zygote says."""
        while self.control is not None:
            try:
                packet = self.control.recv(CONTROL_PACKET_SIZE)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self.loop.remove_reader(self.control.fileno())  # the exit itself is learnt from the process
                return
            self.dispatch(packet)

    def dispatch(self, packet: bytes) -> None:
        """Pass on one message."""
        match decode(packet):
            case ZygoteReady():
                self.events.zygote_ready()
            case RunnerForked(incarnation, pid):
                self.events.runner_forked(incarnation, pid)
            case RunnerExited() as exited:
                self.events.runner_exited(exited)
            case ZygoteFailed(error):
                self.failure = error
                self.close_control()
            case other:
                raise AssertionError(f"a zygote does not say {type(other).__name__}")

    def on_exit(self) -> None:
        """Hear that the process ended, after all it said."""
        code = self.process.child.poll()
        if code is None:
            return
        self.on_readable()
        self.loop.remove_reader(self.process.pidfd)
        self.process.close_pidfd()
        self.close_control()
        if not self.gone.done():
            self.gone.set_result(None)
        self.events.zygote_gone(self.failure or f"the zygote {ending(code)}")

    def close(self) -> None:
        """Let the zygote end: it kills what is left, removes the session directory and exits; `gone` is then done."""
        self.close_control()

    def kill(self) -> None:
        """End a zygote that does not end."""
        self.process.kill()

    def abandon(self) -> None:
        """End the zygote, and with it all runners, without the loop, which has been closed."""
        self.close_control()
        self.process.abandon()

    def close_control(self) -> None:
        """Close the control socket and what was not sent over it."""
        if self.control is None:
            return
        if not self.loop.is_closed():
            self.loop.remove_reader(self.control.fileno())
            self.loop.remove_writer(self.control.fileno())
        self.control.close()
        self.control = None
        for _, fds in self.queue:
            for fd in fds:
                os.close(fd)
        self.queue.clear()


def ending(code: int) -> str:
    """Say how a process ended, from its exit code (negative: the signal)."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
