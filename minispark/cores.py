"""How many cores this process may use: the least of the machine's, its affinity and its control groups' quotas.

Used for `local[*]`. A container's limit is found along the whole path of the process's own control group (version 2)
or in the cpu controller (version 1).
"""

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["available_cores"]


def available_cores(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the number of cores, at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([affinity, *(math.ceil(quota) for quota in quotas(proc, cgroups))]))


def quotas(proc: Path, cgroups: Path) -> Iterator[float]:
    """Yield the cpu quotas, in cores, of all control groups that this process is in."""
    for line in read(proc / "self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from quotas_along(cgroups, path, quota_v2)
        elif "cpu" in controllers.split(","):
            yield from quotas_along(cgroups / "cpu", path, quota_v1)


def quotas_along(root: Path, path: str, quota_of: Callable[[Path], float | None]) -> Iterator[float]:
    """Yield the quotas of a group and of all groups around it."""
    group = root / path.strip("/")
    for folder in (group, *group.parents):
        quota = quota_of(folder)
        if quota is not None:
            yield quota
        if folder == root:
            return


def quota_v2(folder: Path) -> float | None:
    """Read `cpu.max`: quota and period in microseconds, or "max"."""
    fields = read(folder / "cpu.max").split()
    return int(fields[0]) / int(fields[1]) if len(fields) == 2 and fields[0] != "max" else None


def quota_v1(folder: Path) -> float | None:
    """Read the quota and the period of a group of the cpu controller; a quota of −1 is none."""
    quota, period = read(folder / "cpu.cfs_quota_us"), read(folder / "cpu.cfs_period_us")
    return int(quota) / int(period) if quota and period and int(quota) > 0 else None


def read(path: Path) -> str:
    """Return a file's text; nothing if it cannot be read."""
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
