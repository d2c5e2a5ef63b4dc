"""How much memory an executor may keep persisted partitions in, and its tasks work in. Source: Spark's
UnifiedMemoryManager.

In a cluster it is a part of the executor's memory; in local mode of what the machine has to spare, within the limits
of the control groups around this process. Asked once, when the first partition is persisted.
"""

from io import FileIO
from pathlib import Path
from typing import Final

from minispark.storage.logic.unified_memory import UnifiedMemory

__all__ = ["LEAST_SHARE", "available_memory", "storage_bound", "task_share"]

PROC: Final = Path("/proc")
CGROUPS: Final = Path("/sys/fs/cgroup")
FILES: Final = ("inactive_file", "active_file")
LEAST_BYTES: Final = 32 << 20
LEAST_SHARE: Final = 1 << 20


def storage_bound(memory_bytes: int, fraction: float, testing_bytes: int = 0) -> int:
    """Return the bound in bytes.

    Args:
        memory_bytes: what the executor has.
        fraction: `minispark.memory.fraction`, the part of it for storage and execution.
        testing_bytes: `minispark.memory.storageSize`; not 0: the bound itself.
    """
    return testing_bytes or max(LEAST_BYTES, int(memory_bytes * fraction))


def task_share(memory_bytes: int, fraction: float, storage_fraction: float, slots: int) -> int:
    """Return what the shuffles and sorts of one task may hold before they spill, in bytes, however much is persisted.

    What storage and execution have together without the region of storage, and of that the same for each task: tasks
    are in processes of their own, where one cannot ask another to give something back.

    Args:
        memory_bytes: what the executor has.
        fraction: `minispark.memory.fraction`.
        storage_fraction: `minispark.memory.storageFraction`.
        slots: how many tasks the executor runs at once.
    """
    memory = UnifiedMemory.of(storage_bound(memory_bytes, fraction), storage_fraction)
    return max(LEAST_SHARE, memory.task_share(memory.region_bytes, slots))


def available_memory(proc: Path = PROC, cgroups: Path = CGROUPS) -> int:
    """Return how many bytes this process and its children may still take."""
    return min([machine_memory(proc), *group_rooms(proc, cgroups)])


def machine_memory(proc: Path) -> int:
    """Return what the kernel thinks can be had without swapping."""
    for line in read(proc / "meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) << 10
    return 1 << 30


def group_rooms(proc: Path, cgroups: Path) -> list[int]:
    """Return what is left of the limits of all control groups that this process is in."""
    rooms = []
    for line in read(proc / "self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            rooms += rooms_along(cgroups, path, "memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            rooms += rooms_along(cgroups / "memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes")
    return rooms


def rooms_along(root: Path, path: str, limit_name: str, usage_name: str) -> list[int]:
    """Return what is left in a group and in all groups around it."""
    spare = []
    group = root / path.strip("/")
    for folder in (group, *group.parents):
        limit, usage = read(folder / limit_name).strip(), read(folder / usage_name).strip()
        if limit.isdecimal() and usage.isdecimal():
            spare.append(int(limit) - int(usage))
        if folder == root:
            break
    cached = cached_bytes(group) if spare else 0
    return [max(0, size + cached) for size in spare]


def cached_bytes(group: Path) -> int:
    """Return how much of a group's memory are files that the kernel need not keep."""
    facts = dict(line.split()[:2] for line in read(group / "memory.stat").splitlines() if line)
    names = ("total_inactive_file", "total_active_file") if "total_inactive_file" in facts else FILES
    return sum(int(facts.get(name, 0)) for name in names)


def read(path: Path) -> str:
    """Return a file's text; nothing if it cannot be read."""
    try:
        with FileIO(path) as file:  # a dozen of them ten times a second: half of the time that `read_text` takes
            return file.readall().decode("ascii")
    except OSError:
        return ""
