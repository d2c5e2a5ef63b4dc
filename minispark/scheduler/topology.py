"""Which rack a host is in: from a table, a script or a Python function that the user names.

The TaskScheduler asks for hosts when it first hears of them, all in one go. A script or function may be slow, or
never answer, so it runs in a thread of its own that nobody waits for; its answer takes effect when it is there.
Source: Spark's `getRacksForHosts`.
"""

import asyncio
import logging
import subprocess
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from minispark.errors import ConfigurationError
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World

__all__ = ["Topology"]

logger = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 30.0

Resolver = Callable[[list[str]], Sequence[str]]
"""Returns a list with the rack of each host, in order; "" or None for none."""


class Topology:
    """The racks that are known.

    Args:
        setting: `minispark.topology.resolver`.
        world: threads and timers.
        scope: owns that.
        changed: called on the loop when racks became known later than they were asked for.

    Attributes:
        rack_of: the rack of each host that has one.

    Raises:
        ConfigurationError: the setting or its table cannot be used.
    """

    def __init__(self, setting: str, world: World, scope: TaskScope, changed: Callable[[], None]) -> None:
        self.setting = setting
        self.world = world
        self.scope = scope
        self.changed = changed
        self.rack_of: dict[str, str] = {}
        self.asked: set[str] = set()
        self.waiting: list[str] = []
        self.is_asking = False
        self.has_warned = False
        kind, _, what = setting.partition(":")
        self.resolver: Resolver | None = None
        if kind == "table":
            self.rack_of.update(read_table(what))
        elif kind == "script":
            self.resolver = Script(what)
        elif kind == "python":
            self.resolver = load_function(what)
        elif setting:
            raise ConfigurationError(
                f"minispark.topology.resolver = {setting!r} begins neither with table:, script: nor python:"
            )

    def resolve(self, hosts: Iterable[str]) -> None:
        """Find the racks of hosts, unless they were asked for before."""
        if self.resolver is None:
            return
        new = [host for host in dict.fromkeys(hosts) if host not in self.asked]
        if not new:
            return
        self.asked.update(new)
        self.waiting += new
        if not self.is_asking:
            self.is_asking = True
            self.scope.spawn(self.ask(self.resolver), name="resolve racks")

    async def ask(self, resolver: Resolver) -> None:
        """Ask for all hosts that wait, until none does."""
        while self.waiting:
            hosts, self.waiting = self.waiting, []
            found = await self.answer(resolver, hosts)
            if found:
                self.rack_of.update(found)
                self.changed()
        self.is_asking = False

    async def answer(self, resolver: Resolver, hosts: list[str]) -> dict[str, str]:
        """Return the racks of those hosts that have one, however long that takes; say so if it takes long."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[dict[str, str]] = loop.create_future()

        def deliver(found: dict[str, str]) -> None:
            if not answered.done():
                answered.set_result(found)

        def run() -> None:
            found = self.racks_of(resolver, hosts)
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(deliver, found)

        late = self.world.call_later(ANSWER_TIMEOUT_S, self.warn, f"no answer after {ANSWER_TIMEOUT_S:g} s")
        # Not a thread of the loop's executor: the interpreter would wait at its end for a function that hangs.
        self.world.start_thread(run, name="minispark-racks")
        try:
            return await answered
        finally:
            late.cancel()

    def racks_of(self, resolver: Resolver, hosts: list[str]) -> dict[str, str]:
        """Return the racks of those hosts that have one; none if the resolver fails. Runs off the loop."""
        try:
            racks = racks_in_order(resolver(hosts), len(hosts))
        except BaseException as error:  # noqa: BLE001 — the user's own code, which may call sys.exit() too
            self.warn(f"{type(error).__name__}: {error}")
            return {}
        return {host: rack for host, rack in zip(hosts, racks, strict=True) if rack}

    def warn(self, why: str) -> None:
        """Say once that the resolver is of no use."""
        if not self.has_warned:
            self.has_warned = True
            logger.warning(
                "minispark.topology.resolver = %s fails, so hosts are taken to be in no rack: %s", self.setting, why
            )


def racks_in_order(answer: object, count: int) -> list[str]:
    """Check what a resolver gave.

    Raises:
        TypeError: it is no list, or it has anything but texts and None.
        ValueError: it has more or fewer racks than there are hosts.
    """
    if not isinstance(answer, list | tuple):
        raise TypeError(f"it gave {type(answer).__name__}, not a list with the rack of each host")
    if len(answer) != count:
        raise ValueError(f"it gave {len(answer)} racks for {count} hosts")
    for rack in answer:
        if not (rack is None or isinstance(rack, str)):
            raise TypeError(f"a rack is a text, or None; it gave {rack!r}")
    return [rack or "" for rack in answer]


class Script:
    """Asks a program: hosts as arguments, a rack a line.

    Args:
        path: of the program.
        timeout_s: how long it may take.
    """

    def __init__(self, path: str, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self.path = path
        self.timeout_s = timeout_s

    def __call__(self, hosts: list[str]) -> Sequence[str]:
        """Return the racks of hosts."""
        done = subprocess.run(
            [self.path, *hosts],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=self.timeout_s, check=True,
        )  # fmt: skip
        return [line.strip() for line in done.stdout.splitlines()]


def read_table(path: str) -> dict[str, str]:
    """Read a file of lines HOST RACK; empty lines and comments (#) are skipped.

    Raises:
        ConfigurationError: it cannot be read, or a line has not two words.
    """
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"minispark.topology.resolver: the table {path!r} cannot be read: {error}") from None
    racks = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words and len(words) != 2:
            raise ConfigurationError(
                f"minispark.topology.resolver: {path}:{number}: HOST RACK is needed, not {line!r}"
            )
        if words:
            racks[words[0]] = words[1]
    return racks


def load_function(name: str) -> Resolver:
    """Find the function MODULE:FUNCTION.

    Raises:
        ConfigurationError: there is none.
    """
    module, _, function = name.partition(":")
    try:
        found: Resolver = getattr(import_module(module), function)
    except Exception as error:
        raise ConfigurationError(
            f"minispark.topology.resolver: python:{name} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not callable(found):
        raise ConfigurationError(f"minispark.topology.resolver: python:{name} is not a function")
    return found
