"""How much memory this host, or the control groups around this process, has; and whom the kernel ended for it.

Called by the worker: the first says what it offers by default, the second why a process got SIGKILL.
"""

from collections.abc import Iterator
from pathlib import Path

from minispark.cores import read

__all__ = ["available_memory", "default_memory", "oom_kills"]

LEFT_FOR_THE_SYSTEM = 1 << 30
LEAST = 1 << 28


def default_memory(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes that a worker offers unless told: all but one GiB, and never less than 256 MiB."""
    return max(available_memory(proc, cgroups) - LEFT_FOR_THE_SYSTEM, LEAST)


def available_memory(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes of memory that all processes here may use together: of the machine, or a container's limit."""
    total = next(
        int(line.split()[1]) * 1024 for line in read(proc / "meminfo").splitlines() if line.startswith("MemTotal:")
    )
    return min([total, *limits(proc, cgroups)])


def limits(proc: Path, cgroups: Path) -> Iterator[int]:
    """Yield the limits, in bytes, of the control groups that this process is in."""
    for folder in folders(proc, cgroups, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = read(folder / name).strip()
            if text.isdecimal():
                yield int(text)


def oom_kills(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many processes of this process's own control group the kernel has ended so far, to free memory."""
    for folder in folders(proc, cgroups, "memory"):
        for line in (read(folder / "memory.events") or read(folder / "memory.oom_control")).splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def folders(proc: Path, cgroups: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of a process's control group and of those around it, the innermost first."""
    for line in read(proc / "self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = cgroups / controller if controllers else cgroups
        innermost = root / path.strip("/")
        for folder in (innermost, *innermost.parents):
            yield folder
            if folder == root:
                break
