"""`minispark cluster`: what machines are told over ssh. A script named ssh runs it on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from minispark.cli.cluster import machines_of, start_script, stop_script
from minispark.cli.main import main
from minispark.errors import ConfigurationError

SSH = """#!/bin/sh
# Whoever is logged in to is this machine; what comes before `sh -s` is for ssh.
echo "$@" >>"$HOME/ssh.log"
case "$*" in *unreachable*) echo "no route to host" >&2; exit 255;; esac
exec sh -s
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home where `ssh` stays on this machine."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ssh").write_text(SSH)
    (tmp_path / "bin" / "ssh").chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.delenv("MINISPARK_SECRET", raising=False)
    return tmp_path


def hosts(home: Path, text: str) -> Path:
    (home / "hosts.txt").write_text(text)
    return home / "hosts.txt"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["cluster", *map(str, arguments)])


def test_a_list_of_hosts_may_have_comments_and_users(tmp_path: Path) -> None:
    machines = machines_of(hosts(tmp_path, "# ours\nalpha  # the master\n\nme@beta\n"))

    assert [(machine.destination, machine.host) for machine in machines] == [("alpha", "alpha"), ("me@beta", "beta")]


@pytest.mark.parametrize(
    ("text", "problem"),
    [("# none\n", "names no host"), ("a\nb\na\n", "names a twice"), ("-oProxyCommand=x\n", "is not a host"),
     ("a b\n", "is not a host"), ("me@\n", "is not a host")],
)  # fmt: skip
def test_a_wrong_list_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        machines_of(hosts(tmp_path, text))


def test_the_secret_is_on_no_command_line(home: Path) -> None:
    script = start_script("master-a", [sys.executable, "-c", "pass"], b"a secret with 'quotes'")

    (line,) = [line for line in script.splitlines() if line.startswith("nohup")]
    assert "secret" not in line
    assert subprocess.run(
        ["sh", "-s"], input="\n".join(line for line in script.splitlines() if line.startswith("MINISPARK_SECRET"))
        + "\nprintf %s \"$MINISPARK_SECRET\"", capture_output=True, text=True, check=True,
    ).stdout == "a secret with 'quotes'"  # fmt: skip


@pytest.mark.cluster
def test_the_log_of_the_daemon_before_is_kept(home: Path) -> None:
    for text in ("first", "second"):
        script = start_script("worker-a", [sys.executable, "-c", f"import sys; sys.exit('{text}')"], b"s" * 16)
        subprocess.run(["sh", "-s"], input=script, text=True, capture_output=True, check=False)

    logs = home / ".minispark" / "run"
    assert (logs / "worker-a.log").read_text() == "second\n"
    assert (logs / "worker-a.log.1").read_text() == "first\n"


@pytest.mark.cluster
def test_a_daemon_that_does_not_start_says_why(home: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('the reason')"]

    ended = subprocess.run(
        ["sh", "-s"], input=start_script("x", command, b"s"), capture_output=True, text=True, check=False, timeout=60
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "the reason\n")
    assert not (home / ".minispark" / "run" / "x.pid").exists()


@pytest.mark.cluster
def test_what_does_not_run_cannot_be_stopped_and_that_is_no_error(home: Path) -> None:
    ended = subprocess.run(
        ["sh", "-s"], input=stop_script("x"), capture_output=True, text=True, check=True, timeout=60
    )

    assert ended.stdout == "does not run\n"


@pytest.mark.cluster
def test_a_machine_that_cannot_be_reached_is_told_and_no_worker_started(home: Path) -> None:
    result = run("up", hosts(home, "unreachable\nalpha\n"))

    assert result.exit_code == 1
    assert result.output == "unreachable: master: no route to host\n"


@pytest.mark.cluster
def test_a_cluster_comes_up_twice_without_harm_and_goes_down(home: Path, free_port: int) -> None:
    file = hosts(home, "127.0.0.1\nme@127.0.0.2\n")
    try:
        up = run("up", file, "--port", free_port, "--cores", 1, "--memory", "1g")
        again = run("up", file, "--port", free_port)
        shown = CliRunner().invoke(main, ["status", f"127.0.0.1:{free_port}"]).output
    finally:
        down = run("down", file)

    assert up.output.splitlines() == [
        "127.0.0.1: master: started", "127.0.0.1: worker: started", "127.0.0.2: worker: started",
        f"now: minispark submit --master minispark://127.0.0.1:{free_port} app.py",
    ]  # fmt: skip
    assert again.output.count("runs already") == 3
    assert "WORKERS (2)" in shown
    assert down.output.splitlines() == [
        "127.0.0.1: worker: stopped", "127.0.0.2: worker: stopped", "127.0.0.1: master: stopped",
    ]  # fmt: skip
    assert (home / ".minispark" / "secret").read_text().strip() not in (home / "ssh.log").read_text()
