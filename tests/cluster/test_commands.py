"""The commands as people use them: a master and two workers, programs submitted to them, all on loopback."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_port

pytestmark = pytest.mark.cluster

PROGRAM = """
import asyncio, sys
from minispark import SparkContext

async def main():
    async with SparkContext() as sc:
        print(sys.argv[1:], await sc.parallelize(range(100), 4).map(lambda n: n * n).sum(), flush=True)

asyncio.run(main())
sys.exit(int(sys.argv[1]))
"""


class Cluster:
    """A master and workers, each a process, with a home of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {name: value for name, value in os.environ.items() if name != "MINISPARK_SECRET"}
        self.environment |= {"HOME": str(home), "MINISPARK_SHUFFLE_SERVICE_PORT": "0"}
        self.port = free_port()
        self.url = f"minispark://127.0.0.1:{self.port}"
        self.daemons: list[subprocess.Popen[str]] = []

    def command(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "minispark", *map(str, arguments)]

    def start(self, *arguments: object) -> "subprocess.Popen[str]":
        """Start a daemon and wait until it says that it is ready."""
        process = subprocess.Popen(self.command(*arguments), env=self.environment, stderr=subprocess.PIPE, text=True)
        self.daemons.append(process)
        self.expect(process, "is ready")
        return process

    def expect(self, process: "subprocess.Popen[str]", text: str) -> str:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if text in line:
                return line
        pytest.fail(f"{text!r} was never said: {''.join(lines)}")

    def run(self, *arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(*arguments), env={**self.environment, **environment}, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip

    def stop(self) -> list[int]:
        """End the daemons as a person does, the master last; return their exit codes."""
        codes = []
        for process in reversed(self.daemons):
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            codes.append(process.returncode)
        self.daemons.clear()
        return codes


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("home"))
    (made.home / "app.py").write_text(PROGRAM)
    try:
        made.start("master", "--port", made.port)
        for _ in range(2):
            worker = made.start("worker", f"127.0.0.1:{made.port}", "--cores", 1, "--memory", "2g")
            made.expect(worker, "the master is at")
        yield made
        assert made.stop() == [0, 0, 0]
    finally:
        for process in made.daemons:
            process.kill()
            process.communicate()


def test_a_program_runs_on_the_cluster_and_its_exit_code_is_the_commands(cluster: Cluster) -> None:
    ended = cluster.run("submit", "--master", cluster.url, cluster.home / "app.py", "3", "--help")

    assert (ended.returncode, ended.stdout) == (3, "['3', '--help'] 328350\n"), ended.stderr


@pytest.mark.parametrize("code", [0, 3])
def test_the_cluster_runs_a_driver_and_submit_waits_for_its_end(cluster: Cluster, code: int) -> None:
    wait = "minispark.standalone.submit.waitAppCompletion=true"

    ended = cluster.run(
        "submit", "--master", cluster.url, "--deploy-mode", "cluster", "--conf", wait, "--driver-memory", "512m",
        "--executor-memory", "512m", cluster.home / "app.py", code,
    )  # fmt: skip

    driver, told = ended.stdout.splitlines()
    assert ended.returncode == (1 if code else 0), ended.stderr
    assert told.startswith(f"{driver}: {'FAILED' if code else 'FINISHED'} on 127.0.0.1")
    (written,) = (cluster.home / ".minispark" / "work").glob(f"*/{driver}/stdout")
    assert written.read_text() == f"['{code}'] 328350\n"
    assert cluster.run("submit", "--master", cluster.url, "--status", driver).stdout == f"{told}\n"


def test_a_driver_that_never_ends_can_be_ended(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import time\ntime.sleep(3600)\n")
    place = ("submit", "--master", cluster.url)
    driver = cluster.run(
        *place, "--deploy-mode", "cluster", "--driver-memory", "64m", tmp_path / "app.py"
    ).stdout.strip()

    killed = cluster.run(*place, "--kill", driver)
    again = cluster.run(*place, "--kill", "driver-none")

    assert killed.returncode == 0, killed.stderr
    assert again.returncode == 1
    assert cluster.run(*place, "--status", "driver-none").returncode == 1


def test_the_status_is_for_people_and_for_programs(cluster: Cluster) -> None:
    shown = cluster.run("status", cluster.url)
    told = json.loads(cluster.run("status", cluster.url, "--json").stdout)

    assert re.match(rf"{cluster.url}  ALIVE  \d of 2 cores used\n\nWORKERS \(2\)\n", shown.stdout), shown.stderr
    assert [worker["cores"] for worker in told["workers"]] == [1, 1]


def test_who_does_not_know_the_secret_is_refused(cluster: Cluster) -> None:
    ended = cluster.run("status", cluster.url, MINISPARK_SECRET="not the secret of this cluster")

    assert ended.returncode == 4
    assert len(ended.stderr.splitlines()) == 1, ended.stderr


def test_a_second_master_on_the_port_is_refused_in_one_line(cluster: Cluster) -> None:
    ended = cluster.run("master", "--port", cluster.port)

    assert ended.returncode == 3
    assert re.fullmatch(r"minispark master: cannot listen on .* address already in use\n", ended.stderr)


def test_a_work_directory_that_cannot_be_written_is_refused_in_one_line(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    ended = cluster.run("worker", f"127.0.0.1:{cluster.port}", "--work-dir", tmp_path / "file" / "work")

    assert ended.returncode == 2
    assert re.fullmatch(r"minispark worker: the worker's directory .*--work-dir.*\n", ended.stderr)


def test_an_idle_master_and_worker_are_small(cluster: Cluster) -> None:
    for process in cluster.daemons[:2]:
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        found = re.search(r"^Pss: +(\d+) kB", text, re.M)
        assert found is not None
        assert int(found[1]) < 40 * 1024


def test_a_cluster_with_certificates_lets_nobody_in_without_one(tmp_path: Path) -> None:
    source = Path(__file__).parent.parent / "rpc" / "tls"
    for name in ("key.pem", "certificate.pem"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
        (tmp_path / name).chmod(0o600)
    (tmp_path / "app.py").write_text(PROGRAM)
    files = {"CERTIFICATEFILE": "certificate.pem", "KEYFILE": "key.pem", "AUTHORITYFILE": "certificate.pem"}
    plain = Cluster(tmp_path)
    made = Cluster(tmp_path)
    made.environment |= {f"MINISPARK_SSL_{key}": str(tmp_path / name) for key, name in files.items()}
    try:
        made.start("master", "--port", made.port)
        made.expect(made.start("worker", made.url, "--cores", 1, "--memory", "2g"), "the master is at")
        ran = made.run("submit", "--master", made.url, tmp_path / "app.py", 0)
        refused = plain.run("status", made.url)
        assert made.stop() == [0, 0]
    finally:
        for process in made.daemons:
            process.kill()
            process.communicate()

    assert (ran.returncode, ran.stdout) == (0, "['0'] 328350\n"), ran.stderr
    assert refused.returncode == 4
