"""The life of a daemon: start, tell systemd, wait for a signal or its own end, stop in order.

Used by `minispark master` and `minispark worker`. The library itself never touches signals, logging or the kind of
loop; this module is where the command line does. SIGTERM and SIGINT stop in order, a second one at once.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

import uvloop

from minispark.cli.exits import Exit, one_line_errors
from minispark.cli.notify import Notifier
from minispark.deploy.processes import limit
from minispark.rpc.world import SystemWorld, World

__all__ = ["Daemon", "Ended", "log_to_stderr", "run_daemon"]

ENDING: Final = (signal.SIGTERM, signal.SIGINT)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ended:
    """How a daemon ended by itself.

    Attributes:
        code: its exit code.
        reason: why, for people.
    """

    code: Exit
    reason: str


class Daemon(Protocol):
    """What was started and runs until it is stopped or gives up."""

    @property
    def title(self) -> str:
        """One line for people: what it is and where."""

    async def ended(self) -> Ended:
        """Return, when it has ended by itself, how."""

    async def stop(self) -> None:
        """End in order what it started, and itself."""

    def decommission(self) -> None:
        """Take nothing new and end when all is done (SIGPWR); it says so by `ended`."""


def run_daemon(name: str, start: Callable[[World], Awaitable[Daemon]], *, verbose: bool) -> None:
    """Run a daemon to its end and end the process with a code of `Exit`."""
    log_to_stderr(verbose=verbose)
    limit(os.getpid())  # a master has two connections to each worker and driver, and a secret that no dump may hold
    with one_line_errors(name, Exit.CANNOT_LISTEN), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(serve(start, SystemWorld(), Notifier(os.environ)))
    sys.exit(int(code))


def log_to_stderr(*, verbose: bool) -> None:
    """Write the log of this process to stderr: when, how serious, what; with `verbose` every message too."""
    logging.basicConfig(
        stream=sys.stderr,
        format="%(asctime)s.%(msecs)03d %(levelname)s %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
        level=logging.DEBUG if verbose else logging.INFO,
    )
    logging.getLogger("asyncio").setLevel(logging.INFO)


async def serve(start: Callable[[World], Awaitable[Daemon]], world: World, notifier: Notifier) -> Exit:
    """Start, wait, stop; return the exit code."""
    signals = Signals()
    signals.install()
    daemon = await start(world)
    signals.decommission = daemon.decommission
    logger.info("minispark %s is ready", daemon.title)
    notifier.ready(daemon.title)
    keep_alive(world, notifier)
    async with asyncio.TaskGroup() as group:
        told = group.create_task(signals.told.wait())
        end = group.create_task(daemon.ended())
        await asyncio.wait((told, end), return_when=asyncio.FIRST_COMPLETED)
        ended = Ended(Exit.DONE, "stopping") if signals.told.is_set() else end.result()
        told.cancel()
        end.cancel()
    logger.log(logging.INFO if ended.code is Exit.DONE else logging.ERROR, "%s", ended.reason)
    notifier.stopping()
    await daemon.stop()
    return ended.code


class Signals:
    """What signals ask of a daemon.

    Attributes:
        told: set by the first SIGTERM or SIGINT.
        decommission: called by SIGPWR, from when the daemon has started.
    """

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.decommission: Callable[[], object] | None = None

    def install(self) -> None:
        """Take the signals of this process."""
        loop = asyncio.get_running_loop()
        for number in ENDING:
            loop.add_signal_handler(number, self.end, number)
        loop.add_signal_handler(signal.SIGPWR, self.power_fails)

    def end(self, number: signal.Signals) -> None:
        """Stop in order; the second time at once, by the signal itself, so that the parent sees what it was."""
        if self.told.is_set():
            logger.warning("%s again: ending at once", number.name)
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.told.set()

    def power_fails(self) -> None:
        """Finish what runs, take nothing new."""
        if self.decommission is None:
            self.told.set()
        else:
            logger.info("SIGPWR: finishing what runs, taking nothing new")
            self.decommission()


def keep_alive(world: World, notifier: Notifier) -> None:
    """Tell systemd's watchdog, as often as it wants, that the loop turns."""
    if notifier.watchdog_s is not None:
        notifier.alive()
        world.call_later(notifier.watchdog_s, keep_alive, world, notifier)
