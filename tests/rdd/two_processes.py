"""A runner process reduced to its pickling: gets work and values, asks for classes, sends results back."""

import pickle
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self

from minispark.ids import RddId
from minispark.rdd import closures
from minispark.rdd.node import Node, Partition
from minispark.rdd.tasks import ResultTask

ROOT = Path(__file__).parents[2]


class Records(Node[Any]):
    """A node whose records are set by the test."""

    def __init__(self, records: bytes = b"", call_site: str = "app.py:30") -> None:
        super().__init__(RddId(1), "map", call_site)
        self.records = records

    def compute(self, partition: Partition, context: Any) -> Iterator[Any]:
        return iter(pickle.loads(self.records) if self.records else ())


def result_task(function: Callable[[list[Any]], Any], records: list[Any] | None = None) -> ResultTask:
    """Return work that applies a function to the list of records, which are pickled by reference."""
    data = b"" if records is None else pickle.dumps(records)
    return ResultTask(Records(data), lambda context, iterator: function(list(iterator)))


class Runner:
    """The driver's side. Attributes: asked: the classes the runner asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __enter__(self) -> Self:
        command = [sys.executable, "-c", "from tests.rdd.two_processes import serve; serve()"]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.to_runner: BinaryIO = self.process.stdin  # type: ignore[assignment]
        self.from_runner: BinaryIO = self.process.stdout  # type: ignore[assignment]
        return self

    def __exit__(self, *_: object) -> None:
        self.to_runner.close()
        self.from_runner.close()
        self.process.wait()

    def call(self, *request: Any) -> Any:
        """Send a request, answer the runner's questions, return its answer's bytes unpickled."""
        write(self.to_runner, request)
        while True:
            kind, content = read(self.from_runner)
            if kind == "value":
                return closures.loads_value(content)
            if kind == "error":
                raise RuntimeError(content)
            self.asked.append(content)
            write(self.to_runner, ("answer", closures.class_content(content)))

    def run(self, function: Callable[[list[Any]], Any], records: list[Any] | None = None) -> Any:
        """Have a function applied to records in the runner."""
        return self.run_binary(closures.dumps(result_task(function, records)))

    def run_binary(self, data: bytes) -> Any:
        """Have work run; it stays loaded as long as the runner lives, as in a runner's cache."""
        return self.call("work", data)

    def python(self, expression: str) -> Any:
        """Evaluate an expression in the runner."""
        return self.call("eval", expression)


def write(file: BinaryIO, message: Any) -> None:
    """Write a frame."""
    data = pickle.dumps(message)
    file.write(struct.pack("!I", len(data)) + data)
    file.flush()


def read(file: BinaryIO) -> Any:
    """Read a frame; EOFError at the end."""
    head = file.read(4)
    if len(head) < 4:
        raise EOFError
    return pickle.loads(file.read(struct.unpack("!I", head)[0]))


def serve() -> None:
    """Be the runner."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer

    def ask(name: str) -> bytes:
        write(answers, ("ask", name))
        _, content = read(requests)
        return bytes(content)

    closures.install_main(ask)
    works: dict[bytes, Any] = {}
    while True:
        try:
            kind, content = read(requests)
        except EOFError:
            return
        try:
            if kind == "eval":
                value = eval(content, {"sys": sys, "closures": closures})
            else:
                work = works.get(content) or works.setdefault(content, closures.loads(content))
                closures.activate(work)
                value = work.run(Partition(0), None)
            write(answers, ("value", closures.dumps_value(value)))
        except Exception as error:  # noqa: BLE001  # the test sees it
            write(answers, ("error", f"{type(error).__name__}: {error}"))
