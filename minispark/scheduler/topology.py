"""Which rack a host is in: from a table, a script or a Python function that the user names.

The TaskScheduler asks for hosts when it first hears of them, all in one go. A script or function may be slow, so it
runs off the loop, and its answer takes effect when it is there. Source: Spark's `getRacksForHosts`.
"""

import logging
import subprocess
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path

from minispark.errors import ConfigurationError
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World

__all__ = ["Topology"]

logger = logging.getLogger(__name__)

SCRIPT_TIMEOUT_S = 30.0

Resolver = Callable[[list[str]], Sequence[str]]
"""Returns the rack of each host, in order; "" for none."""


class Topology:
    """The racks that are known.

    Args:
        setting: `minispark.topology.resolver`.
        world: runs what may be slow.
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
            racks = await self.world.run_blocking(self.answer, resolver, hosts)
            found = {host: rack for host, rack in zip(hosts, racks, strict=True) if rack}
            if found:
                self.rack_of.update(found)
                self.changed()
        self.is_asking = False

    def answer(self, resolver: Resolver, hosts: list[str]) -> Sequence[str]:
        """Return the racks of hosts; none if the resolver fails. Runs off the loop."""
        try:
            racks = list(resolver(hosts))
            if len(racks) != len(hosts):
                raise ValueError(f"it gave {len(racks)} racks for {len(hosts)} hosts")
            return [rack or "" for rack in racks]
        except Exception as error:  # noqa: BLE001 — the user's own code
            if not self.has_warned:
                self.has_warned = True
                logger.warning(
                    "minispark.topology.resolver = %s fails, so hosts are taken to be in no rack: %s: %s",
                    self.setting, type(error).__name__, error,
                )  # fmt: skip
            return [""] * len(hosts)


class Script:
    """Asks a program: hosts as arguments, a rack a line.

    Args:
        path: of the program.
        timeout_s: how long it may take.
    """

    def __init__(self, path: str, timeout_s: float = SCRIPT_TIMEOUT_S) -> None:
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
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"minispark.topology.resolver: python:{name} cannot be loaded: {error}") from None
    if not callable(found):
        raise ConfigurationError(f"minispark.topology.resolver: python:{name} is not a function")
    return found
