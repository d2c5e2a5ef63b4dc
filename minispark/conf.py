"""Every setting in one typed table, and SparkConf, which holds the values of one application.

Code takes a typed attribute (`conf.task_max_failures`), never a string key. Keys keep Spark's names after the prefix
`minispark.`; `spark.*` is accepted. Values come from, in falling priority: code, options of the command line,
`MINISPARK_*` environment, properties file, default. The command line (`minispark.cli.settings`) settles its options
and the file into the environment of the program that it starts, so a program sees code, environment and default.
`docs/configuration.md` is generated from this table.
"""

import difflib
import os
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self

from minispark.cluster_settings import ClusterSettings
from minispark.errors import ConfigurationError
from minispark.scheduling_settings import SchedulingSettings
from minispark.setting import BYTES, FLAG, INTEGER, PREFIX, SECONDS, TEXT, Setting, not_negative, one_of, positive
from minispark.storage_settings import StorageSettings

__all__ = ["EXECUTOR_ENVIRONMENT", "SparkConf", "settings"]

EXECUTOR_ENVIRONMENT: Final = PREFIX + "executorEnv."
"""Begins the keys of a family beside the table: what follows is the name of an environment variable of executors."""


class SparkConf(SchedulingSettings, ClusterSettings, StorageSettings):
    """The settings of one application; `set` calls chain.

    Example:
        >>> conf = SparkConf().set("minispark.task.maxFailures", 4)
        >>> conf.task_max_failures
        4
    """

    app_name = Setting("app.name", "minispark", TEXT, "The application's name, shown to people.")
    master = Setting(
        "master", "local[*]", TEXT,
        "Where tasks run: local, local[N], local[*], local[N,F], local-cluster[N,C,M], minispark://host:7077.",
    )  # fmt: skip
    log_level = Setting(
        "log.level",
        "",
        TEXT,
        "Overrides how much is logged while a SparkContext lives, also by executors: DEBUG, INFO …; empty: nothing.",
    )
    default_parallelism = Setting(
        "default.parallelism", 0, INTEGER,
        "Partitions of parallelize and of shuffles when not said; 0: the number of cores.", not_negative,
    )  # fmt: skip
    local_dir = Setting(
        "local.dir", "", TEXT, "Where session directories go; empty: the system's folder for temporary files."
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
    executor_allow_spark_context = Setting(
        "executor.allowSparkContext", False, FLAG,
        "Whether a task may start a SparkContext of its own; the settings of that one say so.",
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
    network_timeout_interval = Setting(
        "network.timeoutInterval", 60.0, SECONDS,
        "How often executors are looked for that have been silent for minispark.network.timeout.", positive,
    )  # fmt: skip
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
            for key in [*settings(), *_OLD_KEYS] if name.startswith("MINISPARK_") else ():
                if variable(key) == name.upper():
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
        entry = settings().get(full_key)
        if entry is not None:  # a variable of executors is not in the table, and may have any value
            entry.read(text)
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

    def environment(self) -> dict[str, str]:
        """Return what was set as the variables by which the environment of another process says the same."""
        return {variable(key): text for key, text in self.get_all()}

    def contains(self, key: str) -> bool:
        """Tell whether a value was set."""
        return self.known_key(key) in self.texts

    def copy(self) -> "SparkConf":
        """Return an independent copy."""
        twin = SparkConf(environment={})
        twin.texts.update(self.texts)
        return twin

    @property
    def executor_environment(self) -> dict[str, str]:
        """The variables that executors of a cluster get besides their worker's: `minispark.executorEnv.NAME`."""
        return {
            key.removeprefix(EXECUTOR_ENVIRONMENT): text
            for key, text in self.get_all()
            if key.startswith(EXECUTOR_ENVIRONMENT)
        }

    @staticmethod
    def known_key(key: str) -> str:
        """Return a key in its full form; an old one is taken with a warning.

        Raises:
            ConfigurationError: if there is no such setting; the nearest one is named.
        """
        if not isinstance(key, str):
            raise ConfigurationError(f"the key of a setting is a text, not {key!r}")
        full_key = PREFIX + key.removeprefix("spark.") if key.startswith("spark.") else key
        if full_key.startswith(EXECUTOR_ENVIRONMENT):
            return variable_key(full_key)
        known = settings()
        if full_key in _OLD_KEYS:
            # The line that is warned of is that of the caller of set, get, contains or unset.
            warnings.warn(f"{key} is the old name of {_OLD_KEYS[full_key]}", FutureWarning, stacklevel=3)
            return _OLD_KEYS[full_key]
        if full_key not in known:
            # Compared without what all keys share, or every word would be near to some key.
            names = {name.removeprefix(PREFIX).lower(): name for name in known}
            nearest = difflib.get_close_matches(full_key.removeprefix(PREFIX).lower(), names, n=1, cutoff=0.75)
            hint = f"did you mean {names[nearest[0]]!r}?" if nearest else "docs/configuration.md lists them all"
            raise ConfigurationError(f"there is no setting {key!r}; {hint}")
        return full_key

    def __repr__(self) -> str:
        return f"SparkConf({dict(self.get_all())!r})"


def variable_key(key: str) -> str:
    """Return the key of an environment variable.

    Raises:
        ConfigurationError: a variable cannot have that name.
    """
    name = key.removeprefix(EXECUTOR_ENVIRONMENT)
    if not name or "=" in name or "\0" in name:
        raise ConfigurationError(f"{key!r} does not name a variable: {EXECUTOR_ENVIRONMENT}NAME is needed")
    return key


def variable(key: str) -> str:
    """Return the environment's name for a key: minispark.task.maxFailures is MINISPARK_TASK_MAXFAILURES."""
    return key.replace(".", "_").upper()


def table() -> Iterator[tuple[str, "Setting[Any]"]]:
    """Yield (attribute, setting) in the order of declaration."""
    for part in reversed(SparkConf.__mro__):
        for name, entry in vars(part).items():
            if isinstance(entry, Setting):
                yield name, entry


def settings() -> dict[str, "Setting[Any]"]:
    """Return the table: full key → setting."""
    return _TABLE


_TABLE: dict[str, Setting[Any]] = {entry.key: entry for _, entry in table()}
_OLD_KEYS: dict[str, str] = {old_key: entry.key for _, entry in table() for old_key in entry.old_keys}
