"""How everything here is measured: in pairs, ABAB, with the CPU time of the whole process tree beside the wall time.

A benchmark gives two or three ways to do the same thing (ours, by hand, hand-tuned), each an async callable that does
it once and returns what it measured. `compare` runs them in turn; ratios are taken within a pair, so that a machine
that slows down slows both. Must not know what is measured.
"""

import asyncio
import os
import platform
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

import psutil

__all__ = ["Better", "Result", "Way", "compare", "percentile", "rounded", "tree_cpu_s"]

Better = Literal["lower", "higher"]
Way = Callable[[], Awaitable[float]]

PAIRS = 5
QUICK_PAIRS = 1
PYTHON_ROUNDS = 200_000


@dataclass(frozen=True)
class Result:
    """What a benchmark found; one JSON line.

    `limit` is the same by hand, `ratio` the median of the paired value / limit.
    """

    benchmark: str
    value: float
    unit: str
    better: Better
    limit: float
    ratio: float
    details: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it, figures cut to four digits."""
        found: dict[str, Any] = rounded(asdict(self))
        return found


@dataclass
class Series:
    """What one way measured, run by run: its own figure, wall and CPU seconds."""

    values: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    async def run(self, way: Way) -> None:
        """Run once."""
        cpu, wall = tree_cpu_s(), time.perf_counter()
        self.values.append(await way())
        self.wall_s.append(time.perf_counter() - wall)
        self.cpu_s.append(tree_cpu_s() - cpu)

    def summary(self) -> dict[str, Any]:
        """Return medians, and all values."""
        return {"median": median(self.values), "wall_s": median(self.wall_s), "cpu_s": median(self.cpu_s),
                "values": self.values}  # fmt: skip


async def compare(
    benchmark: str,
    unit: str,
    better: Better,
    *,
    ours: Way,
    by_hand: Way,
    tuned: Way | None = None,
    quick: bool = False,
    details: dict[str, Any] | None = None,
) -> Result:
    """Run each way once to warm up, then in turn; return the medians and the median of the paired ratios.

    Args:
        benchmark: its name.
        unit: of what the ways return.
        better: whether a lower or a higher figure is better.
        ours: minispark.
        by_hand: the same dataflow in bare Python.
        tuned: the best hand-tuned form.
        quick: one pair and no warm-up, to see that it works.
        details: filled by the ways while they run; they end in the result.
    """
    ways = [ours, by_hand, *([tuned] if tuned else [])]
    if not quick:
        for way in ways:
            await way()
    series = [Series() for _ in ways]
    speeds: list[float] = []
    for pair in range(QUICK_PAIRS if quick else PAIRS):
        show_progress(f"{benchmark}: pair {pair + 1}")
        speeds.append(python_ms())
        for one, way in zip(series, ways, strict=True):
            await one.run(way)
    show_progress("")
    names = ("ours", "by_hand", "tuned")
    ratios = {name: paired(series[0].values, one.values) for name, one in zip(names[1:], series[1:], strict=False)}
    cpu_ratios = paired(series[0].cpu_s, series[1].cpu_s)
    found: dict[str, Any] = {
        "ratio_spread": [min(ratios["by_hand"]), max(ratios["by_hand"])],
        "pairs": len(series[0].values),
        "loop": type(asyncio.get_running_loop()).__module__.partition(".")[0],
        "python_ms": {"median": median(speeds), "values": speeds},
        "ratio_tuned": median(ratios["by_hand"]),  # by hand is the best form, where there is no other
        "cpu_ratio": median(cpu_ratios) if cpu_ratios else None,
        **{name: one.summary() for name, one in zip(names, series, strict=False)},
    }
    if tuned:
        found["ratio_tuned"] = median(ratios["tuned"])
        found["cpu_ratio_tuned"] = median(paired(series[0].cpu_s, series[2].cpu_s) or [0.0])
        found["ratio_tuned_spread"] = [min(ratios["tuned"]), max(ratios["tuned"])]
    return Result(
        benchmark, median(series[0].values), unit, better, median(series[1].values), median(ratios["by_hand"]),
        found | (details or {}) | machine(),
    )  # fmt: skip


def paired(ours: Sequence[float], others: Sequence[float]) -> list[float]:
    """Return the ratios pair by pair; pairs too short to measure (0) are left out."""
    return [mine / other for mine, other in zip(ours, others, strict=True) if other > 0]


def python_ms() -> float:
    """Return how long a fixed piece of Python takes now, in milliseconds.

    Machines, their neighbours and builds of the interpreter differ by more than most changes make: figures that are
    no ratios can be compared only where this one is equal.
    """
    start, total = time.perf_counter(), 0
    for number in range(PYTHON_ROUNDS):
        total += number % 7
    return (time.perf_counter() - start) * 1000


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def tree_cpu_s() -> float:
    """Return the CPU seconds used so far by this process, its descendants and those of them that have ended."""
    total = 0.0
    this = psutil.Process()
    for process in [this, *this.children(recursive=True)]:
        try:
            used = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        # What has ended and was waited for is in its parent's children_*.
        total += used.user + used.system + used.children_user + used.children_system
    return total


def machine() -> dict[str, Any]:
    """Return where and on what this was measured."""
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "commit": found.stdout.strip() or "unknown",
    }


def rounded(value: Any) -> Any:
    """Return a value with all its figures cut to four significant digits."""
    match value:
        case float():
            return float(f"{value:.4g}")
        case dict():
            return {key: rounded(part) for key, part in value.items()}
        case list() | tuple():
            return [rounded(part) for part in value]
    return value


def show_progress(text: str) -> None:
    """Show on a terminal what is running; an empty text clears the line."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
