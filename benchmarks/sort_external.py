"""Whether sort of four times as much as memory holds completes, in which memory, and how fast; see `external`."""

from benchmarks.external import run_sort as run

__all__ = ["run"]
