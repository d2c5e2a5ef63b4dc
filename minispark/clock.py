"""The clock protocol: time comes to every component as an argument, so that tests can move it."""

from typing import Protocol

__all__ = ["Clock"]


class Clock(Protocol):
    """Where the time comes from."""

    def monotonic(self) -> float:
        """Return seconds that never go back; only differences mean something."""

    def wall(self) -> float:
        """Return seconds since the epoch, for people to read."""
