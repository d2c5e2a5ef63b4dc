"""Cluster managers that other packages bring: a master URL's scheme names an entry point.

A package that runs executors elsewhere declares, in its `pyproject.toml`,

    [project.entry-points."minispark.cluster_managers"]
    k8s = "its_package:manager"

and `SparkContext("k8s://…")` then calls `manager(conf, world, url)` for its `driver.RunMode`. Called by SparkContext
for URLs that are not minispark's own. Source: Spark's ExternalClusterManager.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol

from minispark.conf import SparkConf
from minispark.errors import ConfigurationError
from minispark.rpc.world import World

if TYPE_CHECKING:
    from minispark.driver import RunMode

__all__ = ["GROUP", "ClusterManager", "has_manager", "load_manager", "make_mode"]

GROUP: Final = "minispark.cluster_managers"


class ClusterManager(Protocol):
    """What an entry point names: a class or a function."""

    def __call__(self, conf: SparkConf, world: World, url: str) -> "RunMode":
        """Return what has an application's tasks run; it starts nothing before `RunMode.open_env`.

        Args:
            conf: the application's settings.
            world: clock, network, processes.
            url: the master URL, as it was given.

        Raises:
            ConfigurationError: the URL or a setting is wrong.
        """


def entries(scheme: str) -> list[Any]:
    """Return the entry points of a scheme."""
    metadata = import_module("importlib.metadata")  # 10 ms, which programs with other masters need not wait
    return list(metadata.entry_points(group=GROUP, name=scheme))


def has_manager(scheme: str) -> bool:
    """Tell whether a package brings a manager for a scheme."""
    return bool(entries(scheme))


def load_manager(scheme: str) -> ClusterManager:
    """Return the manager of a scheme.

    Raises:
        ConfigurationError: it cannot be loaded, or several packages bring one.
    """
    found = entries(scheme)
    if len({entry.value for entry in found}) > 1:
        packages = ", ".join(sorted(entry.value for entry in found))
        raise ConfigurationError(
            f"there are several cluster managers for {scheme}://: {packages}; uninstall all but one"
        )
    problem = f"the cluster manager for {scheme}:// ({found[0].value})"
    try:
        manager: ClusterManager = found[0].load()
    except Exception as error:  # a module of somebody else may fail in any way
        raise ConfigurationError(f"{problem} cannot be loaded: {type(error).__name__}: {error}") from error
    if not callable(manager):
        raise ConfigurationError(f"{problem} is {manager!r}: a class or a function is needed")
    return manager


def make_mode(scheme: str, conf: SparkConf, world: World, url: str) -> "RunMode":
    """Have the manager of a scheme make what has an application's tasks run; see `ClusterManager`.

    Raises:
        ConfigurationError: it cannot be loaded, makes something else, or finds fault with the URL or a setting.
    """
    mode = load_manager(scheme)(conf, world, url)
    if not callable(getattr(mode, "open_env", None)):
        raise ConfigurationError(f"the cluster manager for {scheme}:// has made {mode!r}: a driver.RunMode is needed")
    return mode
