"""Every setting in one typed table, and SparkConf, which holds the values of one application.

Code takes a typed attribute (`conf.task_max_failures`), never a string key. Keys keep Spark's names after the prefix
`minispark.`; `spark.*` is accepted. Values come from, in falling priority: code, `MINISPARK_*` environment, default.
`docs/configuration.md` is generated from this table.
"""

import difflib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar, overload

from minispark.errors import ConfigurationError

__all__ = ["Setting", "SparkConf", "parse_bytes", "parse_duration", "settings"]

T = TypeVar("T")

PREFIX = "minispark."

SIZE_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
DURATION_UNITS = {
    "": 1.0,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}


def split_unit(text: str) -> tuple[float, str]:
    """Split "1.5g" into its number and its lower-case unit."""
    text = text.strip().lower()
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    return float(digits), text[len(digits) :].strip()


def parse_bytes(text: str) -> int:
    """Read a size: a number of bytes, or with a unit of 1024: `512k`, `64m`, `1g`, `64mib`."""
    number, unit = split_unit(text)
    return int(number * SIZE_UNITS[unit.removesuffix("ib").removesuffix("b") if unit != "b" else "b"])


def parse_duration(text: str) -> float:
    """Read a duration in seconds: a number of seconds, or with a unit: `200ms`, `30s`, `5min`, `1h`."""
    number, unit = split_unit(text)
    return number * DURATION_UNITS[unit]


def parse_flag(text: str) -> bool:
    """Read `true` or `false`, in any case."""
    return {"true": True, "false": False}[text.strip().lower()]


def parse_text(text: str) -> str:
    """Take a text as it is."""
    return text


@dataclass(frozen=True)
class Unit(Generic[T]):
    """How a setting's text is read and what the message says when it cannot be."""

    parse: Callable[[str], T]
    example: str


INTEGER: Unit[int] = Unit(int, "a whole number, as 4")
FLAG: Unit[bool] = Unit(parse_flag, "true or false")
TEXT: Unit[str] = Unit(parse_text, "a text")
BYTES: Unit[int] = Unit(parse_bytes, "a size in bytes, as 512k, 64m, 1g")
SECONDS: Unit[float] = Unit(parse_duration, "a duration, as 200ms, 30s, 5min")


class Setting(Generic[T]):
    """One entry of the table; read through an instance of SparkConf it gives the typed value."""

    def __init__(
        self, key: str, default: T, unit: Unit[T], doc: str, check: Callable[[T], bool] | None = None
    ) -> None:
        self.key = PREFIX + key
        self.default = default
        self.unit = unit
        self.doc = doc
        self.check = check

    @overload
    def __get__(self, conf: None, owner: type) -> Self: ...
    @overload
    def __get__(self, conf: "SparkConf", owner: type) -> T: ...
    def __get__(self, conf: "SparkConf | None", owner: type) -> Self | T:
        if conf is None:
            return self
        text = conf.texts.get(self.key)
        return self.default if text is None else self.read(text)

    def read(self, text: str) -> T:
        """Parse and check a text.

        Raises:
            ConfigurationError: naming the key, the value and the form that is right.
        """
        try:
            value = self.unit.parse(text)
        except (ValueError, KeyError):
            value = None
        if value is None or (self.check is not None and not self.check(value)):
            raise ConfigurationError(f"{self.key} = {text!r} is not valid: {self.unit.example} is needed. {self.doc}")
        return value


def positive(value: float) -> bool:
    """Tell whether a number is above zero."""
    return value > 0


def not_negative(value: float) -> bool:
    """Tell whether a number is zero or above."""
    return value >= 0


def one_of(*names: str) -> Unit[str]:
    """Make the unit of a setting that takes one of a few words."""

    def parse(text: str) -> str:
        word = text.strip().lower()
        if word not in names:
            raise ValueError(word)
        return word

    return Unit(parse, "one of " + ", ".join(names))


class SparkConf:
    """The settings of one application; `set` calls chain.

    Example:
        >>> conf = SparkConf().set("minispark.task.maxFailures", 4)
        >>> conf.task_max_failures
        4
    """

    app_name = Setting("app.name", "minispark", TEXT, "The application's name, shown to people.")
    master = Setting("master", "local[*]", TEXT, "Where tasks run: local, local[N], local[*], local[N,F].")
    default_parallelism = Setting(
        "default.parallelism", 0, INTEGER,
        "Partitions of parallelize and of shuffles when not said; 0: the number of cores.", not_negative,
    )  # fmt: skip
    local_dir = Setting(
        "local.dir", "", TEXT, "Where session directories go; empty: the system's folder for temporary files."
    )

    task_max_failures = Setting(
        "task.maxFailures", 4, INTEGER,
        "Failures of one task before its job is given up; local[N,F] says F, other local masters 1 by default.",
        positive,
    )  # fmt: skip
    task_cpus = Setting("task.cpus", 1, INTEGER, "Cores a task takes.", positive)
    stage_max_consecutive_attempts = Setting(
        "stage.maxConsecutiveAttempts", 4, INTEGER,
        "Attempts of a stage that may fail in a row by fetch failures before its jobs are given up.", positive,
    )  # fmt: skip
    stage_max_attempts = Setting(
        "stage.maxAttempts",
        1 << 31,
        INTEGER,
        "Attempts of a stage in all before its jobs are given up.",
        positive,
    )
    scheduler_mode = Setting(
        "scheduler.mode", "fifo", one_of("fifo", "fair"), "How jobs share the slots: the older first, or by pools."
    )
    scheduler_allocation_file = Setting(
        "scheduler.allocation.file",
        "",
        TEXT,
        "Pools for the fair mode, XML or TOML; empty: fairscheduler.xml or .toml in the working directory, if any.",
    )
    job_interrupt_on_cancel = Setting(
        "job.interruptOnCancel", True, FLAG, "Whether cancelling a job interrupts its running tasks."
    )

    driver_max_result_size = Setting(
        "driver.maxResultSize", 1 << 30, BYTES, "Bytes of all results of one job; 0: no bound.", not_negative
    )
    task_max_direct_result_size = Setting(
        "task.maxDirectResultSize", 1 << 20, BYTES,
        "A result above this is left with the executor as a block and fetched from there.", not_negative,
    )  # fmt: skip

    executor_pool = Setting(
        "executor.pool", "process", one_of("process", "thread", "inline"),
        "Where tasks run: processes of their own, threads (debugging, light embedded work) or inline (simulation).",
    )  # fmt: skip
    executor_preload = Setting(
        "executor.preload",
        "",
        TEXT,
        "Modules, separated by commas, that are imported once before runners are forked.",
    )
    executor_binary_cache_size = Setting(
        "executor.binaryCacheSize", 256 << 20, BYTES,
        "Bytes of stages' binaries and map output tables that an executor keeps for tasks to come.", not_negative,
    )  # fmt: skip
    executor_kill_grace = Setting(
        "executor.killGrace", 1.0, SECONDS,
        "How long a killed task may take to unwind before its runner process gets SIGKILL.", not_negative,
    )  # fmt: skip
    executor_stop_deadline = Setting(
        "executor.stopDeadline",
        5.0,
        SECONDS,
        "How long a stop waits for tasks to unwind before SIGKILL.",
        not_negative,
    )

    rpc_ask_timeout = Setting("rpc.askTimeout", 120.0, SECONDS, "How long an ask waits for its reply.", positive)
    network_timeout = Setting(
        "network.timeout", 120.0, SECONDS, "The default of the timeouts of the network that are not set.", positive
    )
    rpc_lookup_timeout = Setting(
        "rpc.lookupTimeout", 120.0, SECONDS, "How long looking up a remote endpoint may take.", positive
    )
    rpc_connect_timeout = Setting(
        "rpc.connectTimeout", 10.0, SECONDS, "How long connecting and the handshake may take.", positive
    )
    rpc_message_max_size = Setting(
        "rpc.message.maxSize", 128 << 20, BYTES, "The largest frame, attachments included.", positive
    )
    rpc_outbox_max_size = Setting(
        "rpc.outbox.maxSize",
        64 << 20,
        BYTES,
        "Bytes waiting for a peer that does not read before it is given up.",
        positive,
    )
    rpc_loopback_encode = Setting(
        "rpc.loopbackEncode", False, FLAG,
        "Whether messages within a process go through the codec too, so that nothing works only locally.",
    )  # fmt: skip
    port_max_retries = Setting(
        "port.maxRetries", 16, INTEGER, "How many next ports are tried when a port is in use.", not_negative
    )

    shuffle_compress = Setting(
        "shuffle.compress",
        True,
        FLAG,
        "Whether map outputs are compressed with lz4 where the first block shows that it pays.",
    )
    shuffle_checksum = Setting(
        "shuffle.checksum.enabled", True, FLAG, "Whether map outputs carry checksums that readers verify."
    )
    local_iterator_prefetch = Setting(
        "localIterator.prefetchPartitions", 4, INTEGER,
        "Partitions that to_local_iterator computes ahead of its reader.", positive,
    )  # fmt: skip
    local_iterator_buffer = Setting(
        "localIterator.bufferSize",
        64 << 20,
        BYTES,
        "Bytes that to_local_iterator holds ahead of its reader.",
        positive,
    )
    limit_scale_up_factor = Setting(
        "rdd.limit.scaleUpFactor",
        4,
        INTEGER,
        "By how much take() multiplies the partitions it tries next.",
        positive,
    )
    ui_progress = Setting("ui.showConsoleProgress", False, FLAG, "Whether a progress line is drawn on a terminal.")

    def __init__(
        self, values: Mapping[str, object] | None = None, *, environment: Mapping[str, str] | None = None
    ) -> None:
        self.texts: dict[str, str] = {}
        for name, text in (os.environ if environment is None else environment).items():
            # MINISPARK_TASK_MAXFAILURES is minispark.task.maxFailures: matched without case, _ for the dot.
            if name.startswith("MINISPARK_"):
                folded = PREFIX + name.removeprefix("MINISPARK_").replace("_", ".").lower()
                for key in settings():
                    if key.lower() == folded:
                        self.set(key, text)
        for key, value in (values or {}).items():
            self.set(key, value)

    def set(self, key: str, value: object) -> Self:
        """Set a value; it is checked at once.

        Raises:
            ConfigurationError: for an unknown key (names the nearest known one) or a value of the wrong form.
        """
        if value is None:
            raise ConfigurationError(f"{key} = None is not a value; use unset({key!r}) for the default")
        full_key = self.known_key(key)
        text = str(value).lower() if isinstance(value, bool) else str(value)
        settings()[full_key].read(text)
        self.texts[full_key] = text
        return self

    def set_if_missing(self, key: str, value: object) -> Self:
        """Set a value unless there is one."""
        return self if self.contains(key) else self.set(key, value)

    def set_all(self, pairs: Mapping[str, object]) -> Self:
        """Set several values."""
        for key, value in pairs.items():
            self.set(key, value)
        return self

    def unset(self, key: str) -> Self:
        """Go back to a setting's default."""
        self.texts.pop(self.known_key(key), None)
        return self

    def set_master(self, master: str) -> Self:
        """Set the master URL."""
        return self.set("minispark.master", master)

    def set_app_name(self, name: str) -> Self:
        """Set the application's name."""
        return self.set("minispark.app.name", name)

    def get(self, key: str, default: str | None = None) -> str | None:
        """Return a value as text; `default` if it was not set."""
        return self.texts.get(self.known_key(key), default)

    def get_all(self) -> list[tuple[str, str]]:
        """Return what was set, sorted by key."""
        return sorted(self.texts.items())

    def contains(self, key: str) -> bool:
        """Tell whether a value was set."""
        return self.known_key(key) in self.texts

    def copy(self) -> "SparkConf":
        """Return an independent copy."""
        twin = SparkConf(environment={})
        twin.texts.update(self.texts)
        return twin

    @staticmethod
    def known_key(key: str) -> str:
        """Return a key in its full form.

        Raises:
            ConfigurationError: if there is no such setting; the nearest one is named.
        """
        if not isinstance(key, str):
            raise ConfigurationError(f"the key of a setting is a text, not {key!r}")
        full_key = PREFIX + key.removeprefix("spark.") if key.startswith("spark.") else key
        known = settings()
        if full_key not in known:
            # Compared without what all keys share, or every word would be near to some key.
            names = {name.removeprefix(PREFIX).lower(): name for name in known}
            nearest = difflib.get_close_matches(full_key.removeprefix(PREFIX).lower(), names, n=1, cutoff=0.75)
            hint = f"did you mean {names[nearest[0]]!r}?" if nearest else "docs/configuration.md lists them all"
            raise ConfigurationError(f"there is no setting {key!r}; {hint}")
        return full_key

    def __repr__(self) -> str:
        return f"SparkConf({dict(self.get_all())!r})"


def table() -> Iterator[tuple[str, "Setting[Any]"]]:
    """Yield (attribute, setting) in the order of declaration."""
    for name, entry in vars(SparkConf).items():
        if isinstance(entry, Setting):
            yield name, entry


def settings() -> dict[str, "Setting[Any]"]:
    """Return the table: full key → setting."""
    return _TABLE


_TABLE: dict[str, Setting[Any]] = {entry.key: entry for _, entry in table()}
