"""Random histories of whole clusters. A seed that fails is printed with its trace; see docs/testing.md."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minispark.testing.simulation import Simulation, run_simulation
from tests.sim.cluster_faults import Faults
from tests.sim.cluster_histories import ClusterHistory

ROOT = Path(__file__).resolve().parents[2]
TRACES = """
from tests.sim.cluster_histories import ClusterHistory

print([ClusterHistory(seed).run().trace for seed in (3, 8)])
"""


def test_histories_are_of_all_kinds() -> None:
    histories = [ClusterHistory(seed) for seed in range(100, 160)]
    applications = [application for history in histories for application in history.applications]
    actions = [action.kind for application in applications for action in application.program.actions]
    assert sorted(set(actions)) == ["accumulate", "collect", "count", "look up", "meet", "save"]
    assert {len(history.applications) for history in histories} == {1, 2, 3}
    assert {"dynamicAllocation.enabled" in application.settings for application in applications} == {True, False}
    assert {application.lingers for application in applications} == {True, False}


@pytest.mark.parametrize("seed", range(6))
def test_jobs_end_with_the_exact_answer_and_nothing_is_left(seed: int) -> None:
    history = ClusterHistory(seed).run()
    assert history.failures == []
    assert sum(history.faults.counts.values()) >= 5


@pytest.mark.cluster
@pytest.mark.parametrize("first", range(100, 160, 10))
def test_more_histories_end_as_they_may(first: int) -> None:
    for seed in range(first, first + 10):
        assert ClusterHistory(seed).run().messages > 100


def test_a_history_of_a_cluster_is_the_same_every_time() -> None:
    assert ClusterHistory(7).run().trace == ClusterHistory(7).run().trace


class Unsettled(ClusterHistory):
    """A history whose cluster is at rest, or not, when it is looked at."""

    def __init__(self, looks: list[bool]) -> None:
        super().__init__(0)
        self.looks = looks

    def assert_at_rest(self) -> None:
        assert self.looks.pop(0)


@pytest.mark.parametrize(("looks", "left"), [([True, True, False], 1), ([True, False, True, True], 0)])
def test_a_history_ends_when_its_cluster_was_at_rest_for_a_while(looks: list[bool], left: int) -> None:
    async def scenario(simulation: Simulation) -> None:
        history = Unsettled(looks)
        history.simulation, history.faults = simulation, Faults(simulation, history.rng, history.note)
        await history.settle()

    run_simulation(scenario)
    assert len(looks) == left


@pytest.mark.cluster
def test_a_history_of_a_cluster_does_not_depend_on_the_order_of_sets() -> None:
    traces = []
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", TRACES], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        traces.append(done.stdout)
    assert traces[0] == traces[1]
