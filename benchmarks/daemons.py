"""A cluster on loopback for the benchmarks: `minispark master` and workers with a core each, as processes.

Everything of it lies in a temporary directory, and goes with the `with` block.
"""

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from minispark import SparkConf

__all__ = ["Daemons"]

SOURCE = Path(__file__).parent.parent
START_LIMIT_S = 30.0


class Daemons:
    """A master and its workers.

    Args:
        workers: how many.
        cores: of each.

    Attributes:
        url: the master's.
        folder: a place for files; it goes with the cluster.
        environment: of the daemons, and of programs that are submitted.
    """

    def __init__(self, workers: int = 2, cores: int = 1) -> None:
        self.workers = workers
        self.cores = cores
        self.url = ""
        self.processes: list[subprocess.Popen[bytes]] = []
        self.temporary = tempfile.TemporaryDirectory(prefix="benchmark-cluster-")
        self.folder = Path(self.temporary.name)
        secret_file = self.folder / "secret"
        secret_file.touch(mode=0o600)
        secret_file.write_text(secrets.token_hex(32))
        self.environment = {
            **os.environ,
            "HOME": str(self.folder),
            "PYTHONPATH": str(SOURCE),
            "PYTHONDONTWRITEBYTECODE": "",
            "MINISPARK_AUTHENTICATE_SECRETFILE": str(secret_file),
            "MINISPARK_SHUFFLE_SERVICE_PORT": "0",
        }

    def __enter__(self) -> Self:
        try:
            line = self.start("master", "--port", "0")
            found = re.search(r"minispark://\S+:\d+", line)
            if found is None:
                raise AssertionError(f"the master does not say where it is: {line!r}")
            self.url = found[0]
            for number in range(self.workers):
                self.start(
                    "worker", self.url.removeprefix("minispark://"), "--cores", str(self.cores), "--memory", "2g",
                    "--work-dir", str(self.folder / f"work-{number}"),
                )  # fmt: skip
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def command(self, *arguments: str) -> list[str]:
        """Return a command line of minispark's."""
        return [sys.executable, "-m", "minispark", *arguments]

    def start(self, *arguments: str) -> str:
        """Start a daemon as systemd would; return what it says of itself when it is ready.

        Raises:
            AssertionError: it ended instead.
        """
        log = self.folder / f"log-{len(self.processes)}"
        path = self.folder / f"notify-{len(self.processes)}"
        with log.open("w") as output, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(str(path))
            ready.settimeout(START_LIMIT_S)
            self.processes.append(
                subprocess.Popen(
                    self.command(*arguments), env={**self.environment, "NOTIFY_SOCKET": str(path)}, cwd=self.folder,
                    stdout=output, stderr=output,
                )
            )  # fmt: skip
            try:
                return ready.recv(4096).decode()
            except TimeoutError:
                raise AssertionError(f"{arguments[0]} did not start: {log.read_text()}") from None

    def conf(self, **settings: object) -> SparkConf:
        """Return the settings of an application on this cluster; `_` in a name stands for a dot."""
        conf = SparkConf().set_master(self.url)
        conf.set("minispark.authenticate.secretFile", self.environment["MINISPARK_AUTHENTICATE_SECRETFILE"])
        return conf.set_all({f"minispark.{name.replace('_', '.')}": value for name, value in settings.items()})

    def executors(self) -> dict[str, psutil.Process]:
        """Return the processes of all executors, by their ids."""
        found = {}
        for process in psutil.Process().children(recursive=True):
            try:
                line = process.cmdline()
            except psutil.Error:
                continue
            if "minispark.executor" in line and "--executor-id" in line:
                found[line[line.index("--executor-id") + 1]] = process
        return found

    def close(self) -> None:
        """End the daemons, the master last."""
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            process.wait()
        self.processes.clear()
        self.temporary.cleanup()
