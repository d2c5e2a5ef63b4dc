"""Master URLs: where an application's tasks run."""

import re
from collections.abc import Callable

from minispark.errors import ConfigurationError, RpcAddressError
from minispark.record import Record, record
from minispark.rpc.logic.address import RpcAddress

__all__ = [
    "ClusterMaster",
    "ExternalMaster",
    "LocalClusterMaster",
    "LocalMaster",
    "MasterUrl",
    "check_task_cpus",
    "max_failures",
    "parse_master",
]

MAX_CORES = 1024
"""Each is a process; whoever needs more than this on one machine has mistyped."""

CLUSTER_MAX_FAILURES = 4

FORMS = (
    "local, local[N], local[*], local[N,F] or local[*,F] (N: tasks at once, F: failures of a task, both at least 1), "
    "local-cluster[N,C,M] (N workers of C cores and M MiB each) or minispark://host:port[,host:port…]"
)
EXTERNAL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://.*")
LOCAL = re.compile(r"local(?:\[\s*(?P<cores>[^,\]]*?)\s*(?:,\s*(?P<failures>[^,\]]*?)\s*)?\])?")
LOCAL_CLUSTER = re.compile(r"local-cluster\[\s*([^,\]]*?)\s*,\s*([^,\]]*?)\s*,\s*([^,\]]*?)\s*\]")
CLUSTER = re.compile(r"(?:minispark|spark)://(.*)")


@record
class LocalMaster(Record):
    """Everything in one process and its runners.

    Attributes:
        cores: tasks at once.
        max_failures: failures of one task before its job is given up; None: the URL does not say.
    """

    cores: int
    max_failures: int | None = None


@record
class ClusterMaster(Record):
    """A standalone cluster; `addresses` are those of all its masters, of which one leads."""

    addresses: tuple[RpcAddress, ...]


@record
class LocalClusterMaster(Record):
    """A cluster of its own, for this application alone: master and workers in the driver's process."""

    workers: int
    cores: int
    memory_bytes: int


@record
class ExternalMaster(Record):
    """What a cluster manager of another package reaches; `scheme` names it."""

    scheme: str


MasterUrl = LocalMaster | ClusterMaster | LocalClusterMaster | ExternalMaster


def nobody_has(scheme: str) -> bool:
    """Know of no cluster managers."""
    return False


def parse_master(url: str, available_cores: int, has_manager: Callable[[str], bool] = nobody_has) -> MasterUrl:
    """Read a master URL.

    Args:
        url: the URL.
        available_cores: what `*` stands for.
        has_manager: tells whether a cluster manager is there for a scheme that is none of these.

    Raises:
        ConfigurationError: naming the URL and the forms that are right.
    """
    text = url.strip()
    if match := LOCAL.fullmatch(text):
        return local_master(url, match, available_cores)
    if match := LOCAL_CLUSTER.fullmatch(text):
        workers, cores, memory_mib = (positive_number(url, number) for number in match.groups())
        check_processes(url, workers * cores)
        return LocalClusterMaster(workers, cores, memory_mib << 20)
    if match := CLUSTER.fullmatch(text):
        return ClusterMaster(tuple(master_address(url, each.strip()) for each in match[1].split(",")))
    if (match := EXTERNAL.fullmatch(text)) and has_manager(match[1].lower()):
        return ExternalMaster(match[1].lower())
    raise ConfigurationError(f"{url!r} is not a master URL: use {FORMS}")


def max_failures(target: MasterUrl, setting: int | None) -> int:
    """Return how often a task may fail: what the URL says, else the setting, else once on this machine alone.

    Args:
        target: the master.
        setting: `minispark.task.maxFailures`; None if it is not set.
    """
    if isinstance(target, LocalMaster) and target.max_failures is not None:
        return target.max_failures
    return setting or (1 if isinstance(target, LocalMaster) else CLUSTER_MAX_FAILURES)


def check_task_cpus(url: str, target: MasterUrl, task_cpus: int, executor_cores: int) -> None:
    """Check that a task fits into an executor.

    Args:
        url: the master URL, for people.
        target: the master.
        task_cpus: cores of a task.
        executor_cores: cores of a cluster's executor; 0 if the settings do not say.

    Raises:
        ConfigurationError: it does not.
    """
    cores = executor_cores if isinstance(target, ClusterMaster | ExternalMaster) else target.cores
    if isinstance(target, LocalClusterMaster):
        cores = min(executor_cores or target.cores, target.cores)
    if 0 < cores < task_cpus:
        raise ConfigurationError(
            f"minispark.task.cpus = {task_cpus} is more than the {cores} cores of {url}: no task could ever run"
        )


def local_master(url: str, match: re.Match[str], available_cores: int) -> LocalMaster:
    """Read the URL of a local master."""
    if "[" not in url:
        return LocalMaster(1)
    cores, failures = match["cores"], match["failures"]
    wanted = available_cores if cores == "*" else positive_number(url, cores)
    check_processes(url, wanted)
    return LocalMaster(wanted, None if failures is None else positive_number(url, failures))


def check_processes(url: str, count: int) -> None:
    """Refuse more runners than a machine can have."""
    if count > MAX_CORES:
        raise ConfigurationError(f"{url!r} asks for {count} runner processes; at most {MAX_CORES} can be had")


def master_address(url: str, text: str) -> RpcAddress:
    """Read one address out of a cluster's URL."""
    try:
        return RpcAddress.parse(text)
    except RpcAddressError:
        raise ConfigurationError(f"{text!r} in the master URL {url!r} is not host:port: use {FORMS}") from None


def positive_number(url: str, text: str) -> int:
    """Read a number ≥ 1 out of a master URL."""
    if not re.fullmatch(r"[0-9]+", text) or int(text) < 1:
        raise ConfigurationError(f"{text!r} in the master URL {url!r} is not a number of at least 1: use {FORMS}")
    return int(text)
