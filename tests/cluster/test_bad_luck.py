"""Bad input and bad luck as people meet them: clear words, an end in time, nothing lost, nothing left running."""

import random
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from minispark.rpc.logic.address import RpcAddress
from tests.cluster.daemons import DEADLINE_S, LOOPBACK, REPETITIONS, Cluster, patient, recovering

pytestmark = pytest.mark.cluster


@pytest.fixture(autouse=True, params=range(REPETITIONS))
def repetition(request: pytest.FixtureRequest) -> int:
    """Have each test run many times in a long run."""
    assert isinstance(request.param, int)
    return request.param


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A master that soon gives up on peers and on applications, and a worker."""
    settings = patient({"minispark.rpc.connectTimeout": 2.0, "minispark.deploy.maxExecutorRetries": 3})
    with Cluster(tmp_path, settings) as made:
        made.master()
        made.worker().expect("the master is at")
        yield made


def stranger_of(cluster: Cluster) -> Cluster:
    """Return processes that take another secret for that of the cluster."""
    folder = cluster.folder / "stranger"
    folder.mkdir()
    stranger = Cluster(folder)
    (stranger.home / ".minispark" / "secret").write_text("the secret of another cluster")
    stranger.masters = cluster.masters
    return stranger


def connections(cluster: Cluster, texts: list[bytes]) -> list[socket.socket]:
    """Connect with the master and say something each."""
    address = RpcAddress.parse(cluster.url)
    made = []
    for text in texts:
        made.append(socket.create_connection((address.host, address.port)))
        made[-1].sendall(text)
    return made


def test_peers_that_talk_rubbish_or_say_nothing_are_turned_away_and_disturb_nobody(cluster: Cluster) -> None:
    rng = random.Random(0)
    rubbish = [rng.randbytes(rng.randrange(1, 5000)) for _ in range(20)]
    half = [(4).to_bytes(4, "big"), b"\x00", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01"]
    sockets = connections(cluster, [*rubbish, *half, *[b""] * 20])
    cluster.program(jobs=1).expect_exact_answers()
    for each in sockets:
        with each:
            assert select.select([each], [], [], DEADLINE_S)[0], "the connection is still open"


def test_who_knows_another_secret_gets_no_further_and_is_told(cluster: Cluster) -> None:
    with stranger_of(cluster) as stranger:
        worker = stranger.worker()
        program = stranger.program(jobs=1)
        worker.expect("does not know the secret of 'cluster'")
        program.expect("does not know the secret of 'cluster'")
        status = stranger.run("status", cluster.url)
        assert (status.returncode, len(status.stderr.splitlines())) == (4, 1), status.stderr
        program.kill()
        stranger.expect_nothing_left(worker)


def test_where_no_master_is_a_command_says_so_in_one_line(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        port = taken.getsockname()[1]
        for arguments in (
            ("status", f"127.0.0.1:{port}"),
            ("submit", "--master", f"minispark://127.0.0.1:{port}", "--status", "driver-1"),
        ):
            ended = cluster.run(*arguments)
            assert ended.returncode == 4, ended.stderr
            assert f"127.0.0.1:{port}" in ended.stderr
            assert len(ended.stderr.splitlines()) == 1


def test_an_application_that_gets_no_executor_is_told_what_is_free_until_it_gets_one(cluster: Cluster) -> None:
    wanted = {"minispark.executor.memory": "1500m", "minispark.starvation.timeout": "200ms"}
    program = cluster.program(wanted, jobs=1)
    free = "An executor needs 1 cores and 1500 MiB; free are 127.0.0.1: 1 cores, 1024 MiB"
    program.expect(f"no executor has taken a task yet: not enough memory or cores. {free}", times=2)
    cluster.worker(memory="2g")
    program.expect_exact_answers()


def test_executors_that_die_at_their_start_are_not_started_for_ever(cluster: Cluster, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no such module >&2\nexit 7\n")
    python.chmod(0o700)
    program = cluster.program({"minispark.executor.python": str(python)}, jobs=1)
    assert program.wait() == 1
    assert "executors failed in a row" in program.text
    assert "exit code 7" in program.text
    cluster.expect_nothing_left(*cluster.daemons[:2])
    cluster.program(jobs=1).expect_exact_answers()


def test_a_module_that_is_not_there_is_named_before_anything_starts(cluster: Cluster) -> None:
    program = cluster.program({"minispark.submit.pyFiles": "/nowhere/helper.py"}, jobs=1)
    assert program.wait() == 1
    assert "/nowhere/helper.py" in program.text
    submitted = cluster.run("submit", "--master", cluster.url, "--py-files", "/nowhere/helper.py", __file__)
    assert submitted.returncode == 2
    assert "there is no /nowhere/helper.py" in submitted.stderr


def test_a_damaged_record_is_refused_with_what_to_do_and_stays(tmp_path: Path) -> None:
    with Cluster(tmp_path, recovering(tmp_path)) as cluster:
        first = cluster.master()
        (worker,) = cluster.workers(LOOPBACK)
        first.kill()
        worker.kill()
        (damaged,) = (tmp_path / "records").glob("term-*/records/worker_*")
        damaged.write_bytes(damaged.read_bytes()[:-1])
        second = cluster.start("master", "--port", 0)
        assert second.wait() == 1
        (kept,) = (tmp_path / "records").glob("term-*/records/worker_*")
        assert f"{kept} is damaged" in second.text
        assert "Restore it from a copy, or move it away" in second.text
        kept.unlink()
        cluster.master().expect("recovery is complete")
