"""Random histories of a whole scheduler. A seed that fails is printed; `History(seed).run()` shows it again."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from minispark.scheduler.dag_scheduler import DAGScheduler
from minispark.scheduler.executor_changes import ExecutorChanges
from minispark.scheduler.logic.dag import DagState
from minispark.scheduler.replay import Replay
from minispark.shuffle.logic.map_outputs import MapOutputs
from tests.sim.histories import History, HistoryFailed

ROOT = Path(__file__).resolve().parents[2]
CHUNK = 25
NUM_SEEDS = 2000 if os.environ.get("MINISPARK_SOAK") else 100
TRACES = "from tests.sim.histories import History; print([History(seed).run().trace for seed in range(1, 200, 40)])"


@pytest.mark.parametrize("first", range(0, NUM_SEEDS, CHUNK))
def test_every_job_ends_with_what_its_lineage_says_or_a_clear_error(first: int) -> None:
    for seed in range(first, first + CHUNK):
        history = History(seed).run()
        assert all(job.ended_s is not None for job in history.cluster.jobs.values())


def test_a_history_is_the_same_every_time() -> None:
    assert [History(7).run().trace for _ in range(2)] == [History(7).run().trace] * 2
    assert History(7).run().trace != History(8).run().trace


@pytest.mark.parametrize("seed", range(1000, 1008))
def test_the_journal_of_a_history_replays(seed: int, tmp_path: Path) -> None:
    history = History(seed, checks=False, journal=tmp_path / "j").run()
    asyncio.run(history.cluster.recorder.close())
    steps = list(Replay(tmp_path / "j").steps())
    assert len(steps) > 200
    assert [step for step in steps if not step.agrees] == []


@pytest.mark.cluster
def test_a_history_does_not_depend_on_the_order_of_sets() -> None:
    traces = []
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", TRACES], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        traces.append(done.stdout)
    assert traces[0] == traces[1]


def run_all(seeds: Iterable[int]) -> None:
    for seed in seeds:
        History(seed).run()


def forget_nothing(outputs: MapOutputs, executor_id: Any) -> list[Any]:
    """Stand in for `remove_on_executor` and drop no output."""
    return []


def lose_the_waiting(state: DagState, *arguments: Any) -> None:
    """Stand in for `complete_map_stage` and let no child run."""
    state.end_stage(arguments[0])
    state.waiting.clear()


def trust_nobody_less(executors: ExecutorChanges, *arguments: Any) -> None:
    """Stand in for `removed` and fail nothing that ran there."""


def deliver_twice(scheduler: DAGScheduler, effect: Any) -> None:
    """Stand in for `perform` and deliver every result a second time."""
    ORIGINAL_PERFORM(scheduler, effect)
    if type(effect).__name__ == "DeliverResult":
        ORIGINAL_PERFORM(scheduler, effect)


ORIGINAL_PERFORM = DAGScheduler.perform


@pytest.mark.parametrize(
    ("machine", "method", "broken"),
    [
        (MapOutputs, "remove_on_executor", forget_nothing),
        (DagState, "complete_map_stage", lose_the_waiting),
        (ExecutorChanges, "removed", trust_nobody_less),
        (DAGScheduler, "perform", deliver_twice),
    ],
)
def test_a_broken_scheduler_is_found_out(
    machine: type[Any], method: str, broken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, method, broken)
    with pytest.raises(HistoryFailed, match=r"history \d+ failed after"):
        run_all(range(20))
