"""A driver's process is tied to its worker's."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from minispark.deploy import driver_process

pytestmark = pytest.mark.cluster
STARTER = [sys.executable, "-P", "-S", str(driver_process.__file__)]


def test_it_becomes_the_program_with_its_arguments_and_its_own_modules(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import helper, sys, os; print(helper.X, sys.argv[1:], os.getppid())")
    (tmp_path / "helper.py").write_text("X = 1")

    command = [*STARTER, str(os.getpid()), sys.executable, "app.py", "a b", "-x"]
    output = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert output == f"1 ['a b', '-x'] {os.getpid()}\n"


def test_a_worker_that_is_gone_already_is_noticed() -> None:
    ended = subprocess.run([*STARTER, "1", "/bin/echo"], capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "the worker is gone\n")


def test_it_ends_when_its_worker_is_killed(tmp_path: Path) -> None:
    worker_code = """if True:
        import os, subprocess, sys, time
        driver = subprocess.Popen([*sys.argv[1:], str(os.getpid()), "/bin/sleep", "1000"], start_new_session=True)
        print(driver.pid, flush=True)
        time.sleep(1000)
    """
    worker = subprocess.Popen([sys.executable, "-c", worker_code, *STARTER], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    pid = int(worker.stdout.readline())
    watch = os.pidfd_open(pid)
    while Path(f"/proc/{pid}/comm").read_text() != "sleep\n":
        pass  # until it is the program
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    worker.stdout.close()

    assert select.select([watch], [], [], 60)[0] == [watch]
    os.close(watch)
