"""Many histories of whole clusters over the cores of this machine: `python -m tests.sim.run COUNT [FIRST]`.

Each that fails is printed with the end of its trace; `ClusterHistory(seed, verbose=True).run()` shows all of it.
"""

import logging
import multiprocessing
import sys
import time

from tests.sim.cluster_histories import ClusterHistory, ClusterHistoryFailed

PROCESSES = 2


def run_one(seed: int) -> tuple[int, str, int]:
    """Run one history; return its seed, what was wrong, and how many of its jobs were given up."""
    logging.basicConfig(level=logging.CRITICAL)
    history = ClusterHistory(seed)
    try:
        history.run()
    except ClusterHistoryFailed as error:
        return seed, str(error), 0
    return seed, "", len(history.failures)


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(count: int, first: int = 0) -> int:
    """Run histories; return the exit code."""
    began, failed, given_up = time.monotonic(), [], 0
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        for seed, wrong, jobs in pool.imap_unordered(run_one, range(first, first + count), chunksize=10):
            given_up += jobs
            if wrong:
                failed.append(seed)
                say(wrong)
    seconds = time.monotonic() - began
    say(f"{count} histories in {seconds:.0f} s, {count / seconds:.1f} a second; {given_up} jobs were given up")
    say(f"failed: {sorted(failed)}" if failed else "none failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
