"""What a program hears of its SparkContext: events, how far jobs are, and the log.

A base of SparkContext. How events come to listeners is `scheduler.listener_bus`' business. Of logging only the logger
`minispark` is touched, only when the program asks for it, and it is as before when the context stops. Source: the
methods of Spark's SparkContext of these names, and its setting `spark.log.level`.
"""

import logging
from typing import TYPE_CHECKING, Final

from minispark.errors import ConfigurationError

if TYPE_CHECKING:
    from minispark.driver import Driver
    from minispark.messages.listener import SparkListener
    from minispark.status_tracker import StatusTracker

__all__ = ["Listening", "level_of"]

LEVELS: Final = {
    "ALL": 1, "TRACE": 5, "DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARN": logging.WARNING,
    "WARNING": logging.WARNING, "ERROR": logging.ERROR, "FATAL": logging.CRITICAL, "OFF": logging.CRITICAL + 10,
}  # fmt: skip

LOGGER: Final = logging.getLogger("minispark")


class Listening:
    """Listeners and the log level."""

    driver: "Driver"
    is_stopped: bool
    log_level_before: int | None = None

    def check_on_loop(self) -> None:
        """Raise unless the context is active and this is its loop's thread."""
        raise NotImplementedError

    def add_listener(self, listener: "SparkListener", *, in_thread: bool = False) -> None:
        """Have a listener see the events from now on.

        No listener holds up jobs or other listeners: one that is slow misses events once
        `minispark.scheduler.listenerbus.eventqueue.capacity` of them wait, and that is logged.

        Args:
            listener: its `on_event` is called on this loop, or awaited if it is a coroutine function.
            in_thread: whether to call it in a thread of its own instead, where it may block.

        Raises:
            ConfigurationError: it has no method `on_event`, or a coroutine function, which needs no thread.
        """
        self.check_on_loop()
        if not callable(getattr(listener, "on_event", None)):
            raise ConfigurationError(f"{listener!r} is not a listener: it needs a method on_event(event)")
        self.driver.events.add(listener, in_thread=in_thread)

    def remove_listener(self, listener: "SparkListener") -> None:
        """Let a listener go; nothing happens if it is not there. It may do so itself, also at `ApplicationEnd`."""
        if not (self.is_stopped and hasattr(self, "driver")):
            self.check_on_loop()
        self.driver.events.remove(listener)

    def status_tracker(self) -> "StatusTracker":
        """Return what answers how far jobs and stages are."""
        self.check_on_loop()
        from minispark.status_tracker import StatusTracker  # what it reads is only loaded by a driver

        return StatusTracker(self.driver)

    def set_log_level(self, level: str) -> None:
        """Override how much minispark logs, here until the context stops, and in its executors.

        Args:
            level: ALL, TRACE, DEBUG, INFO, WARN, ERROR, FATAL or OFF, in any case.

        Raises:
            ConfigurationError: it is none of these.
            ContextError: the context is not active: nothing would undo it.
        """
        self.check_on_loop()
        number = level_of(level)
        if self.log_level_before is None:
            self.log_level_before = LOGGER.level
        LOGGER.setLevel(number)
        if hasattr(self, "driver"):
            self.tell_executors()

    def tell_executors(self) -> None:
        """Have executors in processes of their own log as much as this process, if that was overridden."""
        backend = self.driver.mode.cluster_backend
        if backend is not None and self.log_level_before is not None:
            backend.log_levels.update(LOGGER.level)

    def reset_log_level(self) -> None:
        """Let the log be as it was before it was overridden."""
        if self.log_level_before is not None:
            LOGGER.setLevel(self.log_level_before)
            self.log_level_before = None


def level_of(name: str) -> int:
    """Return the number of a level.

    Raises:
        ConfigurationError: there is no such level.
    """
    number = LEVELS.get(str(name).upper())
    if number is None:
        raise ConfigurationError(f"{name!r} is not a log level: use {', '.join(LEVELS)}")
    return number
