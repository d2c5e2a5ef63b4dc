"""Where a kill may strike in a runner process: only inside the user-code bracket of the attempt it names.

`runner_main` makes one bracket per process and installs `on_signal`; `task_runner` enters it around user code, and
asks `killed` afterwards. A kill comes as a `KillAttempt` on the control socket, then a signal. The handler runs
between two bytecodes of whatever the main thread is doing, so it raises only while the bracket is armed, and disarms
it before it raises: one kill raises once, and nothing but user code is ever torn.
"""

import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from minispark.errors import TaskKilled
from minispark.ids import TaskId
from minispark.messages.runner import KillAnswered, KillAttempt
from minispark.rpc.logic.codec import decode, encode

__all__ = ["KILL_PACKET_SIZE", "KILL_SIGNAL", "KillBracket", "Unarmed"]

KILL_SIGNAL = signal.SIGRTMIN + 7  # a realtime signal: no program uses it by habit, so user code keeps SIGUSR1
KILL_PACKET_SIZE = 8192
NO_ATTEMPT = TaskId(-1)


class KillBracket:
    """The user-code bracket of a runner process.

    Args:
        control: the runner's end of its control socket; non-blocking, one packet a message. The answers go back over
            it, so that the handler never writes into the middle of a frame of the conversation.
        incarnation: the runner's number; words for other runners are dropped.

    Attributes:
        heeds_all: whether kills raise that do not interrupt, too: while the attempt only waits for other tasks.
    """

    def __init__(self, control: socket.socket, incarnation: int) -> None:
        self.control = control
        self.incarnation = incarnation
        self.task_id = NO_ATTEMPT
        self.armed = False
        self.handling = False
        self.heeds_all = False
        self.kill: KillAttempt | None = None

    def begin(self, task_id: TaskId) -> None:
        """Name the attempt that starts now; a kill of it that came before counts."""
        self.task_id = task_id

    def end(self) -> None:
        """Forget the attempt: kills of it that come later are answered and do nothing."""
        self.armed = False
        self.task_id = NO_ATTEMPT

    @property
    def killed(self) -> bool:
        """Whether the current attempt was asked to end; what `TaskContext.is_interrupted` tells."""
        kill = self.kill
        return kill is not None and kill.task_id == self.task_id

    @property
    def reason(self) -> str:
        """Why the current attempt was asked to end; empty if it was not."""
        kill = self.kill
        return kill.reason if kill is not None and kill.task_id == self.task_id else ""

    def __enter__(self) -> Self:
        """Arm the bracket.

        Raises:
            TaskKilled: the attempt was killed, with `interrupt`, before it got here; the bracket stays unarmed.
        """
        self.armed = True
        self.raise_if_due(self.kill)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disarm. A kill may still be raised by this very call, before its first line; then it leaves the `with`."""
        self.armed = False

    def unarmed(self) -> "Unarmed":
        """Return a context in which no kill is raised, for the library's own work inside user code.

        A kill that came meanwhile is raised when the context is left without an error.
        """
        return Unarmed(self)

    def raise_if_due(self, kill: KillAttempt | None) -> None:
        """Raise TaskKilled if that kill is for the current attempt, interrupts, and the bracket is armed."""
        if not self.armed or kill is None or kill.task_id != self.task_id:
            return
        if kill.interrupt or self.heeds_all:
            self.armed = False
            raise TaskKilled(kill.reason)

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Take the kills that are there and raise if it is time; the handler of `KILL_SIGNAL`."""
        self.raise_if_due(self.take_kills())  # last, so that no answer is lost

    def take_kills(self) -> KillAttempt | None:
        """Take what the control socket holds, answer it, and return the last of it; only the main thread may."""
        if self.handling:  # an interrupted call takes the packet, or the executor signals again
            return None
        self.handling = True
        last = None
        try:
            while (packet := self.next_packet()) is not None:
                kill = decode(packet)
                if isinstance(kill, KillAttempt) and kill.incarnation == self.incarnation:
                    last = self.kill = kill
                    self.answer(kill)
        finally:
            self.handling = False
        return last

    def next_packet(self) -> bytes | None:
        """Return the next packet, None if there is none now."""
        try:
            return self.control.recv(KILL_PACKET_SIZE) or None
        except OSError:
            return None

    def answer(self, kill: KillAttempt) -> None:
        """Say that the kill was taken note of; a pool that is gone needs no answer."""
        try:
            self.control.send(encode(KillAnswered(self.incarnation, kill.task_id))[0])
        except OSError:
            return

    def watch_unraisable(self) -> None:
        """Notice a TaskKilled that was raised in a finaliser, where Python swallows it, and arm the bracket again.

        The finaliser ran within user code, which goes on now; the pool repeats the kill half-way through the grace
        period, and that raises.
        """
        report = sys.unraisablehook

        def hook(unraisable: "sys.UnraisableHookArgs") -> None:
            if isinstance(unraisable.exc_value, TaskKilled):
                self.armed = True
            else:
                report(unraisable)

        sys.unraisablehook = hook


class Unarmed:
    """A span without kills inside the bracket; see `KillBracket.unarmed`."""

    __slots__ = ("bracket", "was_armed")

    def __init__(self, bracket: KillBracket) -> None:
        self.bracket = bracket
        self.was_armed = False

    def __enter__(self) -> Self:
        """Disarm."""
        self.was_armed = self.bracket.armed
        self.bracket.armed = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Arm again, unless the kill was just raised, and raise one that came meanwhile."""
        if self.was_armed and kind is not TaskKilled:
            self.bracket.armed = True
            self.bracket.raise_if_due(self.bracket.kill)

    def wait(self, function: Callable[[], object]) -> None:
        """Call a function that waits and loses nothing if it is left by an exception; kills may strike in it."""
        bracket = self.bracket
        if self.was_armed:
            bracket.armed = True
            bracket.raise_if_due(bracket.kill)
        function()
        bracket.armed = False
