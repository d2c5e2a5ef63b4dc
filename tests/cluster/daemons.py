"""Masters, workers and programs as processes, on this host or on hosts of their own, for the tests of faults.

What they print goes to files, which an assertion that fails shows. Every process of a cluster, whoever started it, is
known by its HOME; files are in one folder. So a test can tell what a fault left behind.
"""

import asyncio
import contextlib
import json
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import pytest

from minispark.cli.client import cluster_client, master_addresses
from minispark.conf import SparkConf
from minispark.errors import RpcError
from minispark.ids import WorkerId
from minispark.messages.deploy_clients import MasterStatus
from minispark.messages.deploy_values import WorkerState
from tests.cluster import shuffling_program
from tests.cluster.shuffling_program import TASKS, Order, plain
from tests.cluster.stress import factor

__all__ = [
    "DEADLINE_S", "JOBS", "LOOPBACK", "REPETITIONS", "Cluster", "Daemon", "Host", "Program", "crowd",
    "executors_of", "expect_soon", "lives", "moment", "patient", "recovering", "seeds", "wait_until",
]  # fmt: skip

DEADLINE_S = 60.0
"""How long the tests wait for one event: far longer than it takes where ten processes share a core."""
SECRET = "a secret of this test's cluster alone"
QUICK = {
    "minispark.worker.timeout": 2.0,
    "minispark.deploy.leaderLease": 2.0,
    "minispark.shuffle.service.port": 0,
}
"""Settings of daemons that notice losses soon; seconds of a machine that has a core for each process."""
APPLICATION = {
    "minispark.executor.memory": "256m",
    "minispark.executor.heartbeatInterval": "200ms",
    "minispark.network.timeout": 2.0,
    "minispark.network.timeoutInterval": "200ms",
    "minispark.shuffle.readHostLocal": False,
    "minispark.executor.stopDeadline": 1.0,
    "minispark.standalone.executorRemoveDelayOnDisconnection": "1s",
}
"""The same of applications; map outputs of another executor are fetched as from another host."""


def crowd() -> float:
    """Return how many processes each core has to serve now, between 1 and 10.

    With ten a sleep of 50 ms was seen to take a second.
    """
    return min(max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)), 10.0)


def patient(settings: dict[str, Any]) -> dict[str, Any]:
    """Make time-outs as much longer as this machine is slower, so that nobody is lost for being slow."""
    times = crowd()
    return {name: f"{value * times:.1f}s" if isinstance(value, float) else value for name, value in settings.items()}


@dataclass(frozen=True)
class Host:
    """Where a process runs.

    Attributes:
        address: what it listens on.
        prefix: the command that runs a command there.
    """

    address: str
    prefix: tuple[str, ...] = ()


LOOPBACK = Host("127.0.0.1")

JOBS = 3
REPETITIONS = factor(1, 20)
seeds = pytest.mark.parametrize("seed", range(REPETITIONS))


def recovering(folder: Path) -> dict[str, Any]:
    """Return settings of masters that share what they know."""
    return {
        "minispark.deploy.recoveryMode": "filesystem",
        "minispark.deploy.recoveryDirectory": folder / "records",
    }


def moment(rng: random.Random) -> int:
    """Return after how many tasks of so many jobs something happens: neither before the first nor after the last."""
    return rng.randrange(1, JOBS * TASKS - 8)


def wait_until(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Wait for what other processes do, which sets no event here: look again and again."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {deadline_s:g} s"
        time.sleep(0.01)


def expect_soon(condition: Callable[[], object], what: str, within_s: float) -> None:
    """Expect what is promised within a time, of a machine that has a core for each process.

    A look counts for 10 ms however long this process had to wait for its turn: who is looked at had to wait as well.
    """
    for _ in range(round(within_s * crowd() / 0.01)):
        if condition():
            return
        time.sleep(0.01)
    assert condition(), f"{what}: not within {within_s:g} s"


def executors_of(parent: psutil.Process) -> list[psutil.Process]:
    """Return the executor processes that a worker, or a driver with workers in it, has started."""
    found = []
    for child in parent.children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended since
            found += [child] if "--executor-id" in child.cmdline() else []
    return found


def lives(process: psutil.Process) -> bool:
    """Tell whether a process is there and is no zombie."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


class Daemon:
    """A process, and the file with what it prints."""

    def __init__(self, name: str, process: "subprocess.Popen[str]", log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    @property
    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def expect(self, text: str, times: int = 1, deadline_s: float = DEADLINE_S) -> None:
        """Wait until it has said so."""

        def has_said() -> bool:
            has_ended = self.process.poll() is not None
            said = self.text.count(text) >= times
            assert said or not has_ended, f"{self.name} has ended and never said {text!r}"
            return said

        wait_until(has_said, f"{self.name} says {text!r}", deadline_s)

    def wait(self) -> int:
        """Wait for its end; return its exit code."""
        return self.process.wait(DEADLINE_S)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> int:
        """Ask it to end; return its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.wait()

    def power_off(self) -> None:
        """Kill a worker with all that it has started, at once."""
        family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        for act in (psutil.Process.suspend, psutil.Process.kill):  # first, so that none notices that another is gone
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):  # one may end by itself at this moment
                    act(process)
        self.process.wait()

    def executors(self) -> list[psutil.Process]:
        """Return the executor processes that this worker has started."""
        return executors_of(psutil.Process(self.process.pid)) if self.process.poll() is None else []


class Program(Daemon):
    """A driver that says what happens; see `shuffling_program`."""

    def __init__(self, order: Order, process: "subprocess.Popen[str]", log: Path) -> None:
        super().__init__("program", process, log)
        self.order = order
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.answers: list[str] = []
        self.events: list[str] = []
        self.reader = threading.Thread(target=self.read, name="what the program says")
        self.reader.start()

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put("")

    def hear(self) -> str:
        """Return what it says next; empty: it has ended."""
        try:
            line = self.lines.get(timeout=DEADLINE_S)
        except queue.Empty:
            raise AssertionError(f"the program says nothing; it said {self.events[-20:]}") from None
        kind, _, rest = line.partition(" ")
        {"event": self.events, "answer": self.answers}.get(kind, []).append(rest)
        return line

    def wait_for(self, event: str, count: int = 1) -> None:
        """Wait for so many more events of a kind."""
        while count:
            line = self.hear()
            assert line, f"the program ended before {event}"
            count -= line.startswith(f"event {event}")

    def demand(self, jobs: int) -> None:
        """Have one that runs jobs on demand run so many."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n" * jobs)
        self.process.stdin.flush()

    def ask(self) -> None:
        """Have one that runs jobs on demand run the next; its answer must be that of plain Python."""
        self.demand(1)
        while not (line := self.hear()).startswith("answer "):
            assert line, "the program ended before it answered"
        assert json.loads(self.answers[-1]) == plain(self.order.seed, len(self.answers))[-1]

    def wait(self) -> int:
        """Wait for its end; return its exit code."""
        while self.hear():
            pass
        self.reader.join()
        return super().wait()

    def expect_exact_answers(self) -> None:
        """Wait for its end; every answer must be that of plain Python."""
        code = self.wait()
        assert code == 0, f"exit code {code}"
        expected = plain(self.order.seed, self.order.jobs)
        assert [json.loads(answer) for answer in self.answers] == expected

    def let_go(self) -> None:
        """Forget it after its end."""
        self.reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


class Cluster:
    """The processes of one cluster, in a folder of their own.

    Args:
        folder: empty.
        settings: of all daemons.
        tls: settings of certificates, of everybody.
    """

    def __init__(
        self, folder: Path, settings: dict[str, Any] | None = None, tls: dict[str, Any] | None = None
    ) -> None:
        self.folder = folder
        self.tls = tls or {}
        self.settings = patient(QUICK) | (settings or {}) | self.tls
        self.home, self.temporary = folder / "home", folder / "tmp"
        for made in (self.home, self.temporary, self.home / ".minispark"):
            made.mkdir(mode=0o700)
        secret = self.home / ".minispark" / "secret"
        secret.touch(mode=0o600)
        secret.write_text(SECRET)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MINISPARK_")}
        self.environment = kept | {"HOME": str(self.home), "TMPDIR": str(self.temporary)}
        self.daemons: list[Daemon] = []
        self.masters: list[str] = []

    @property
    def url(self) -> str:
        return f"minispark://{','.join(self.masters)}"

    # -- start -------------------------------------------------------------------------------------------------------

    def command(self, *arguments: object, host: Host = LOOPBACK, **options: Any) -> "subprocess.Popen[str]":
        """Start a process on a host."""
        command = [*host.prefix, sys.executable, *map(str, arguments)]
        return subprocess.Popen(command, env=self.environment, text=True, **options)

    def start(self, name: str, *arguments: object, host: Host = LOOPBACK) -> Daemon:
        """Start a daemon of `minispark`."""
        log = self.folder / f"{len(self.daemons)}-{name}.log"
        pairs = [part for key, value in self.settings.items() for part in ("--conf", f"{key}={value}")]
        with log.open("w") as output:
            process = self.command(
                "-m", "minispark", name, *arguments, "--host", host.address, *pairs,
                host=host, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        self.daemons.append(daemon := Daemon(log.stem, process, log))
        return daemon

    def master(self, host: Host = LOOPBACK, port: str = "0") -> Daemon:
        """Start a master and wait until it serves."""
        master = self.start("master", "--port", port, host=host)
        master.expect("is ready")
        address = master.text.split("minispark://")[1].split()[0]
        if address not in self.masters:
            self.masters.append(address)
        return master

    def worker(self, host: Host = LOOPBACK, directory: Path | None = None, memory: str = "1g") -> Daemon:
        """Start a worker."""
        return self.start(
            "worker", ",".join(self.masters), "--cores", 1, "--memory", memory,
            "--work-dir", directory or self.folder / f"work-{len(self.daemons)}", host=host,
        )  # fmt: skip

    def workers(self, *hosts: Host) -> list[Daemon]:
        """Start a worker on each of these hosts, by default two here, and wait until a master has taken them."""
        started = [self.worker(host) for host in hosts or (LOOPBACK, LOOPBACK)]
        for worker in started:
            worker.expect("the master is at")
        return started

    def program(self, settings: dict[str, Any] | None = None, host: Host = LOOPBACK, **parts: Any) -> Program:
        """Start a program."""
        order = Order(self.url, patient(APPLICATION) | self.tls | (settings or {}), **parts)
        log = self.folder / f"{len(self.daemons)}-program.log"
        with log.open("w") as output:
            process = self.command(
                shuffling_program.__file__, order.text(),
                host=host, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output,
            )  # fmt: skip
        self.daemons.append(program := Program(order, process, log))
        return program

    def run(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        """Run a command of `minispark` to its end."""
        command = [sys.executable, "-m", "minispark", *map(str, arguments)]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=DEADLINE_S
        )

    def alive_workers(self) -> list[WorkerId]:
        """Return whom the master that rules takes for alive; without one nobody."""

        async def ask() -> MasterStatus:
            async with cluster_client(SparkConf(), master_addresses(self.url), SECRET.encode()) as client:
                return await client.status()

        with contextlib.suppress(RpcError):
            return [worker.worker_id for worker in asyncio.run(ask()).workers if worker.state is WorkerState.ALIVE]
        return []

    # -- end ---------------------------------------------------------------------------------------------------------

    def processes(self) -> list[psutil.Process]:
        """Return all processes of this cluster, whoever started them."""
        return list(self.family())

    def family(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get("HOME") == str(self.home) and process.status() != psutil.STATUS_ZOMBIE:
                    yield process

    def files(self) -> list[str]:
        """Return what lies around beside logs."""
        found = []
        for place in (self.temporary, *self.folder.glob("work*")):
            for folder, folders, files in os.walk(place):  # passes over what vanishes while it looks
                names = files + (folders if place == self.temporary else [])
                found += [os.path.join(folder, name) for name in names if name not in ("stdout", "stderr")]
        return sorted(found)

    def expect_nothing_left(self, *but: Daemon) -> None:
        """Wait until no process is there but these, and no file but logs."""
        pids = {daemon.process.pid for daemon in but}

        def are_alone() -> bool:
            others = [each for each in self.processes() if each.pid not in pids]
            psutil.wait_procs(others, timeout=1)  # looking at all processes again and again would keep a core busy
            return not others

        wait_until(are_alone, f"only {pids} run")
        wait_until(lambda: not self.files(), "no file is left")

    def stop(self) -> None:
        """End what runs, the youngest first: in order, with exit code 0, and with nothing left."""
        for daemon in reversed(self.daemons):
            if daemon.process.poll() is None:
                assert daemon.end() == 0, daemon.name
        self.expect_nothing_left()

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.stop()
        except AssertionError as found:
            found.add_note(self.report())
            raise
        finally:
            if error is not None:
                error.add_note(self.report())
            self.destroy()

    def report(self) -> str:
        """Return what everybody said, and what is there."""
        logs = [f"--- {daemon.name}\n{daemon.text[-4000:]}" for daemon in self.daemons]
        for path in sorted(self.folder.glob("work*/*/*/std*")):
            logs.append(f"--- {path}\n{path.read_text(errors='replace')[-1500:]}")
        alive = [f"{each.pid} {each.name()} {each.cmdline()[1:6]}" for each in self.processes()]
        return "\n".join([*logs, "--- processes", *alive, "--- files", *self.files()])

    def destroy(self) -> None:
        """Kill all processes of this cluster."""
        while family := self.processes():
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            for daemon in self.daemons:
                daemon.process.poll()
            psutil.wait_procs(family, timeout=1)
        for daemon in self.daemons:
            daemon.process.wait()
            if isinstance(daemon, Program):
                daemon.let_go()
