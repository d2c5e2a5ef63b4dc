"""`python -m benchmarks [NAME …] [--json] [--quick] [--uvloop]`: run some benchmarks, or all; one JSON line each.

Without `--json` a line for people stands above each. Programs choose their loop: here it is asyncio's own, unless
`--uvloop` says otherwise; what runs by hand uses the same.
"""

import argparse
import gc
import importlib
import json
import sys

import uvloop

from benchmarks.harness import Result

NAMES = (
    "startup", "job_latency", "tasks", "concurrent_jobs", "wordcount", "rpc", "memory", "cancel", "loop_lag",
    "fairness", "scheduler_scale", "delay_scheduling", "fetch", "broadcast", "group", "sort", "join",
    "group_external", "sort_external", "shuffle_wide", "cached_scan", "kmeans", "kmeans_numpy", "pagerank",
    "cluster_startup", "cluster_job_latency", "cluster_tasks", "cluster_wordcount", "cluster_recovery",
    "cluster_memory", "master_load",
)  # fmt: skip


def headline(result: Result) -> str:
    """Return a result as one line for people."""
    spread = result.details["ratio_spread"]
    line = (
        f"{result.benchmark}: {result.value:.4g} {result.unit} ({result.better} is better); "
        f"by hand {result.limit:.4g}, ratio {result.ratio:.3g} ({spread[0]:.3g} to {spread[1]:.3g})"
    )
    is_tuned = "tuned" in result.details
    return f"{line}, to the tuned form {result.details['ratio_tuned']:.3g}" if is_tuned else line


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)}; none: all")
    parser.add_argument("--json", action="store_true", help="print the JSON lines alone")
    parser.add_argument("--quick", action="store_true", help="tiny inputs, one pair: to see that it works")
    parser.add_argument("--uvloop", action="store_true", help="run the drivers on uvloop in place of asyncio's loop")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    if options.uvloop:
        uvloop.install()
    for name in options.names or NAMES:
        result: Result = importlib.import_module(f"benchmarks.{name}").run(options.quick)
        if not options.json:
            sys.stdout.write(headline(result) + "\n")
        sys.stdout.write(json.dumps(result.as_dict()) + "\n")
        sys.stdout.flush()
        gc.collect()


if __name__ == "__main__":
    main()
