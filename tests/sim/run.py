"""Many histories of whole clusters over the cores of this machine: `python -m tests.sim.run COUNT [FIRST]`.

Each that fails is printed with the end of its trace; `ClusterHistory(seed, verbose=True).run()` shows all of it.
"""

import gc
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from tests.sim.cluster_histories import ClusterHistory, ClusterHistoryFailed

CHUNK = 10

Outcome = tuple[int, str, int]


def run_one(seed: int) -> Outcome:
    """Run one history; return its seed, what was wrong, and how many of its jobs were given up."""
    history = ClusterHistory(seed)
    try:
        history.run()
    except ClusterHistoryFailed as error:
        return seed, str(error), 0
    return seed, "", len(history.failures)


def run_some(cpu: int, seeds: range, outcomes: Connection) -> None:
    """Run histories in a process of their own, whose memory goes with it: nobody looks for garbage.

    It stays on one core: its threads run in turns, and to wake one on another core takes longer than its turn.
    """
    os.sched_setaffinity(0, {cpu})
    gc.disable()
    for seed in seeds:
        outcomes.send(run_one(seed))
    outcomes.close()


def run_seeds(seeds: range) -> Iterator[Outcome]:
    """Run histories in one process for each core at once, forked off this one with all that it has loaded."""
    gc.freeze()
    context = multiprocessing.get_context("fork")
    todo = [seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK)][::-1]
    free = sorted(os.sched_getaffinity(0))
    running: dict[Connection, tuple[int, BaseProcess]] = {}
    while todo or running:
        while todo and free:
            cpu = free.pop()
            ours, theirs = context.Pipe(duplex=False)
            process: BaseProcess = context.Process(target=run_some, args=(cpu, todo.pop(), theirs))
            process.start()
            theirs.close()
            running[ours] = cpu, process
        for connection in wait(list(running)):
            assert isinstance(connection, Connection)
            try:
                yield connection.recv()
            except EOFError:
                connection.close()
                cpu, process = running.pop(connection)
                process.join()
                free.append(cpu)
                if process.exitcode:
                    raise RuntimeError(f"a process of histories ended with {process.exitcode}") from None


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(count: int, first: int = 0) -> int:
    """Run histories; return the exit code."""
    logging.basicConfig(level=logging.CRITICAL)
    began, failed, given_up = time.monotonic(), [], 0
    for seed, wrong, jobs in run_seeds(range(first, first + count)):
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
