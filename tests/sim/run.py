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
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from tests.sim.cluster_histories import ClusterHistory, ClusterHistoryFailed

AT_MOST = 50

Outcome = tuple[int, str, int]


@dataclass
class Runs:
    """A process that runs histories: on which core, who it is, and how many it was given."""

    cpu: int
    line: Connection
    process: BaseProcess
    count: int = 0


def run_one(seed: int) -> Outcome:
    """Run one history; return its seed, what was wrong, and how many of its jobs were given up."""
    history = ClusterHistory(seed)
    try:
        history.run()
    except ClusterHistoryFailed as error:
        return seed, str(error), 0
    return seed, "", len(history.failures)


def run_some(cpu: int, line: Connection) -> None:
    """Run histories in a process of their own, whose memory goes with it: nobody looks for garbage.

    It stays on one core: its threads run in turns, and to wake one on another core takes longer than its turn.
    """
    os.sched_setaffinity(0, {cpu})
    gc.disable()
    for _ in range(AT_MOST):
        line.send(run_one(line.recv()))


def start(cpu: int) -> Runs:
    """Fork a process for histories, which has all that this one has loaded."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=run_some, args=(cpu, theirs), daemon=True)
    process.start()
    theirs.close()
    return Runs(cpu, ours, process)


def run_seeds(seeds: range) -> Iterator[Outcome]:
    """Run histories in one process for each core at once; one that has run many makes room for another."""
    gc.freeze()
    todo = list(reversed(seeds))
    running: dict[Connection, Runs] = {}
    for cpu in sorted(os.sched_getaffinity(0))[: len(todo)]:
        begin(start(cpu), todo, running)
    while running:
        for line in wait(list(running)):
            assert isinstance(line, Connection)
            runs = running.pop(line)
            try:
                yield line.recv()
            except EOFError:
                runs.process.join()
                raise RuntimeError(f"a process of histories ended with {runs.process.exitcode}") from None
            if todo:
                begin(runs if runs.count < AT_MOST else start(runs.cpu), todo, running)


def begin(runs: Runs, todo: list[int], running: dict[Connection, Runs]) -> None:
    """Have a process run the next history."""
    runs.count += 1
    runs.line.send(todo.pop())
    running[runs.line] = runs


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
