"""The cases of Spark's FaultToleranceTest, with processes: masters and workers die, one application lives through it.

After each fault the application runs a job, all workers are registered once, and one master leads.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.daemons import REPETITIONS, Cluster, Daemon, Program, recovering, wait_until

pytestmark = pytest.mark.cluster


@pytest.fixture(autouse=True, params=range(REPETITIONS))
def repetition(request: pytest.FixtureRequest) -> int:
    """Have each test run many times in a long run."""
    assert isinstance(request.param, int)
    return request.param


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Masters share what they know."""
    with Cluster(tmp_path, recovering(tmp_path)) as made:
        yield made


def leads(master: Daemon) -> bool:
    """Tell whether a master does; it says so in its log, and whoever does not any more has ended."""
    return "recovery is complete" in master.text and master.process.poll() is None


def expect_valid(cluster: Cluster, masters: list[Daemon], program: Program, workers: int = 2) -> None:
    """Expect that one of the masters leads, that it has so many workers, and that the application runs a job."""
    wait_until(lambda: sum(map(leads, masters)) == 1, "one master leads")

    def are_registered() -> bool:
        alive = cluster.alive_workers()
        return len(alive) == len(set(alive)) == workers

    wait_until(are_registered, f"{workers} workers are registered, each once")
    program.ask()


def restarted(cluster: Cluster, master: Daemon) -> Daemon:
    """Kill a master and start another one in its place."""
    port = cluster.masters[0].rpartition(":")[2]
    master.kill()
    return cluster.master(port=port)


@pytest.mark.scenario("FTT-001", "app can still run a job, workers registered once, one leader after: basic sanity")
@pytest.mark.scenario("FTT-001", "many masters")
@pytest.mark.scenario("FTT-001", "single-master halt (standby takes over)")
@pytest.mark.scenario("FTT-001", "rolling outage of masters and workers")
def test_an_application_lives_on_while_masters_and_workers_die_one_after_another(cluster: Cluster) -> None:
    masters = [cluster.master() for _ in range(3)]
    workers = cluster.workers()
    program = cluster.program(on_demand=True, jobs=9)
    expect_valid(cluster, masters, program)
    for _ in range(2):
        masters.pop(0).kill()
        expect_valid(cluster, masters, program)
        workers.pop(0).kill()
        workers += [cluster.worker()]
        workers[-1].expect("the master is at")
        expect_valid(cluster, masters, program)
    program.kill()


@pytest.mark.scenario("FTT-001", "single-master restart")
@pytest.mark.scenario("FTT-001", "whole cluster restarts")
def test_an_application_lives_on_while_its_cluster_restarts(cluster: Cluster) -> None:
    master = cluster.master()
    workers = cluster.workers()
    program = cluster.program(on_demand=True, jobs=9)
    expect_valid(cluster, [master], program)
    master = restarted(cluster, master)
    expect_valid(cluster, [master], program)
    for worker in workers:
        worker.kill()
    master = restarted(cluster, master)
    cluster.workers()
    expect_valid(cluster, [master], program)
    program.kill()


@pytest.mark.scenario("FTT-001", "all but standby fail")
def test_an_application_lives_on_when_only_a_standby_is_left(cluster: Cluster) -> None:
    leader, standby = cluster.master(), cluster.master()
    workers = cluster.workers()
    program = cluster.program(on_demand=True, jobs=9)
    expect_valid(cluster, [leader, standby], program)
    for daemon in (leader, *workers):
        daemon.kill()
    cluster.workers()
    expect_valid(cluster, [standby], program)
    program.kill()
