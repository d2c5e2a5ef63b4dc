"""A zygote's process, from the outside: exec'd, told where modules are, ended. `zygote_client` talks to it.

It is apart, and imports next to nothing, because it comes before everything else: an interpreter starts on another
core while the driver loads what it will talk to it with (docs/decisions/0003).
"""

import os
import signal
import socket
import sys
from typing import Self

from minispark.errors import MiniSparkError
from minispark.executor.interpreter import child_environment, interpreter_command
from minispark.executor.zygote import CONTROL_PACKET_SIZE
from minispark.rpc.world import ChildProcess, World

__all__ = ["ZygoteProcess"]

BOOTSTRAP = "minispark.executor.zygote"


class ZygoteProcess:
    """One process and the socket to it.

    Attributes:
        child: the process.
        control: our end of the control socket, one packet a message; non-blocking.
        pidfd: readable when the process has ended.
    """

    def __init__(self, child: ChildProcess, control: socket.socket, pidfd: int) -> None:
        self.child = child
        self.control = control
        self.pidfd = pidfd

    @classmethod
    def spawn(cls, world: World) -> Self:
        """Exec a zygote with the modules, the working directory and the environment of this process.

        Raises:
            MiniSparkError: there is no interpreter to start, the system refuses, or `sys.path` is far too long.
        """
        if not sys.executable:
            raise MiniSparkError(
                "runner processes need a Python interpreter, and sys.executable names none; set "
                "minispark.executor.pool=thread to run tasks in this process"
            )
        place = b"\0".join(map(os.fsencode, [working_directory(), *sys.path]))
        if len(place) > CONTROL_PACKET_SIZE:
            raise MiniSparkError(f"sys.path takes {len(place)} bytes, and a zygote can be told {CONTROL_PACKET_SIZE}")
        ours, theirs = world.socket_pair(socket.SOCK_SEQPACKET)
        zygote: Self | None = None
        try:
            with theirs:
                command = [*interpreter_command(BOOTSTRAP), str(theirs.fileno())]
                child = world.spawn_process(
                    command, environment=child_environment(os.environ), pass_fds=[theirs.fileno()]
                )
                zygote = cls(child, ours, -1)
                zygote.pidfd = os.pidfd_open(child.pid)
                ours.send(place)  # the first packet: there is room for it
        except OSError as error:
            ours.close()
            if zygote is not None:
                zygote.abandon()
            raise MiniSparkError(f"cannot start the zygote with {sys.executable}: {error}") from error
        ours.setblocking(False)
        return zygote

    def kill(self) -> None:
        """End a zygote that does not end."""
        self.child.send_signal(signal.SIGKILL)

    def abandon(self) -> None:
        """End the zygote at once, and with it all runners, and wait for that; it leaves its session directory."""
        self.kill()
        self.control.close()
        self.child.wait()
        self.close_pidfd()

    def close_pidfd(self) -> None:
        """Watch the process no more; it has ended."""
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


def working_directory() -> str:
    """Return the working directory, or the root if it was removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "/"
