"""A cluster on hosts of its own: links that are cut during a shuffle, and hosts that vanish without a word."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.daemons import JOBS, Cluster, Daemon, Host, moment, seeds
from tests.cluster.hosts import Network

pytestmark = pytest.mark.cluster

PADDING = 20_000
CERTIFICATES = Path(__file__).parent.parent / "rpc" / "tls"


@pytest.fixture
def network() -> Iterator[Network]:
    with Network(4) as made:
        yield made


def certificates(folder: Path) -> dict[str, str]:
    """Return settings of TLS; the certificate is of a host of another name."""
    for name in ("key.pem", "certificate.pem"):
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes((CERTIFICATES / name).read_bytes())
    certificate = folder / "certificate.pem"
    files = {"certificateFile": certificate, "authorityFile": certificate, "keyFile": folder / "key.pem"}
    return {f"minispark.ssl.{key}": str(path) for key, path in files.items()} | {
        "minispark.ssl.checkHostNames": "false"
    }


def on_hosts(cluster: Cluster, network: Network) -> tuple[Daemon, list[Daemon], Host]:
    """Start a master and two workers, each on a host of its own; return also the host that is left for a driver."""
    first, second, third, fourth = network.hosts
    master = cluster.master(first)
    return master, cluster.workers(second, third), fourth


@seeds
@pytest.mark.parametrize("wire", ["sealed", "TLS"])
def test_a_job_survives_a_link_that_is_cut_and_healed(wire: str, seed: int, tmp_path: Path, network: Network) -> None:
    rng = random.Random(seed)
    with Cluster(tmp_path, tls=certificates(tmp_path) if wire == "TLS" else None) as cluster:
        master, workers, place = on_hosts(cluster, network)
        program = cluster.program(host=place, seed=seed, jobs=JOBS, padding=PADDING)
        program.wait_for("TaskEnd", moment(rng))
        victim = network.hosts[1 + rng.randrange(2)]
        network.cut(victim)
        program.wait_for("TaskEnd", 2)
        network.heal(victim)
        program.expect_exact_answers()
        cluster.expect_nothing_left(master, *workers)


@seeds
def test_a_job_survives_a_host_that_is_cut_off_until_it_is_given_up(
    seed: int, tmp_path: Path, network: Network
) -> None:
    rng = random.Random(seed)
    with Cluster(tmp_path) as cluster:
        master, workers, place = on_hosts(cluster, network)
        program = cluster.program(host=place, seed=seed, jobs=JOBS + 1, padding=PADDING, on_demand=True)
        program.demand(JOBS)
        program.wait_for("TaskEnd", moment(rng))
        number = rng.randrange(2)
        network.cut(network.hosts[1 + number])
        program.wait_for("ExecutorLeft")
        network.heal(network.hosts[1 + number])
        program.demand(1)
        program.expect_exact_answers()
        cluster.expect_nothing_left(master, *workers)
        cluster.program(host=place, seed=seed, jobs=1).expect_exact_answers()


@seeds
def test_a_job_survives_a_host_that_vanishes_and_its_files_go_when_it_is_back(
    seed: int, tmp_path: Path, network: Network
) -> None:
    rng = random.Random(seed)
    cleaning = {"minispark.worker.cleanup.interval": "200ms", "minispark.worker.cleanup.appDataTtl": "1s"}
    with Cluster(tmp_path, cleaning) as cluster:
        master, workers, place = on_hosts(cluster, network)
        program = cluster.program(host=place, seed=seed, jobs=JOBS, padding=PADDING)
        program.wait_for("TaskEnd", moment(rng))
        number = rng.randrange(2)
        host, vanished = network.hosts[1 + number], workers.pop(number)
        network.cut(host)
        vanished.power_off()
        program.expect_exact_answers()
        network.heal(host)
        workers.append(cluster.worker(host, directory=tmp_path / f"work-{vanished.name.partition('-')[0]}"))
        cluster.expect_nothing_left(master, *workers)


def test_workers_leave_a_master_whose_host_vanishes_for_one_that_comes_elsewhere(
    tmp_path: Path, network: Network
) -> None:
    first, second, third, fourth = network.hosts
    with Cluster(tmp_path) as cluster:
        vanished = cluster.master(first)
        cluster.masters.append(f"{fourth.address}:7077")
        workers = cluster.workers(second, third)
        network.cut(first)
        vanished.power_off()
        cluster.master(fourth, "7077")
        for worker in workers:
            worker.expect("has answered nothing for")
            worker.expect(f"the master is at minispark://{fourth.address}:7077")
        cluster.program(host=fourth, seed=1, jobs=1).expect_exact_answers()
