"""Tells systemd how a daemon is: started, stopping, alive. Its protocol is a datagram to a socket of the environment.

Used by `minispark.cli.daemon`. Without NOTIFY_SOCKET (no systemd, or not Type=notify) nothing happens.
"""

import contextlib
import socket
from collections.abc import Mapping

__all__ = ["Notifier"]


class Notifier:
    """The line to systemd.

    Args:
        environment: of the process; NOTIFY_SOCKET says where, WATCHDOG_USEC how often systemd wants to hear.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        # A name that begins with @ is not in the file system; the kernel wants a zero byte there.
        self.address = "\0" + path[1:] if path.startswith("@") else path
        self.watchdog_s = interval_of(environment.get("WATCHDOG_USEC", "")) if path else None

    def ready(self, text: str) -> None:
        """Say that the daemon serves; `text` is shown by `systemctl status`."""
        self.say(f"READY=1\nSTATUS={text}")

    def stopping(self) -> None:
        """Say that the daemon ends as it was told to."""
        self.say("STOPPING=1")

    def alive(self) -> None:
        """Say that the event loop turns."""
        self.say("WATCHDOG=1")

    def say(self, text: str) -> None:
        """Send, and pass over a systemd that does not listen: the daemon's work is not to depend on it."""
        if not self.address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.setblocking(False)
            line.sendto(text.encode(), self.address)


def interval_of(microseconds: str) -> float | None:
    """Return how often to say that all is well: twice in the time after which systemd gives up; None: never."""
    return int(microseconds) / 2e6 if microseconds.isdigit() and int(microseconds) else None
