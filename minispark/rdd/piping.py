"""`RDD.pipe`: a program of the system that gets a partition's records as lines, and whose lines are the new records.

A part of `rdd.RDD`. The program runs beside the task, on the task's core. Source: PySpark's RDD.pipe.
"""

import os
import shlex
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import IO, TYPE_CHECKING, Any, TypeVar

from minispark.errors import ConfigurationError
from minispark.rdd.face import Face
from minispark.rdd.narrow import MapPartitionsNode

if TYPE_CHECKING:
    from minispark.rdd.rdd import RDD

__all__ = ["PipeMethods"]

T_co = TypeVar("T_co", covariant=True)


class PipeMethods(Face[T_co]):
    """pipe."""

    def pipe(
        self, command: str | Sequence[str], env: Mapping[str, str] | None = None, check_code: bool = False
    ) -> "RDD[str]":
        """Return the lines that a program writes, which gets `str(record)` of each record as a line.

        It is started once for each partition. What it writes to its standard error goes where the task's does.

        Args:
            command: the program and its arguments: a list, or a text that is taken apart as a shell would; no shell
                runs.
            env: environment variables beside those of the task.
            check_code: whether a program that fails, by its exit code, fails the task. A signal always does.

        Raises:
            ConfigurationError: there is no program in the command. Later, a RuntimeError: it failed, or could not be
                started.
        """
        try:
            arguments = shlex.split(command) if isinstance(command, str) else [str(part) for part in command]
        except ValueError as error:
            raise ConfigurationError(f"pipe cannot take {command!r} apart: {error}") from None
        if not arguments:
            raise ConfigurationError("pipe needs a program to run")
        through = partial(lines_through, arguments, dict(env or {}), check_code)
        # How a program takes the records is not known: another order may give other lines.
        return self.derive(MapPartitionsNode(self.origin("pipe"), self.node, through, is_order_sensitive=True))


def lines_through(
    arguments: list[str], env: dict[str, str], check_code: bool, index: int, records: Iterator[Any]
) -> Iterator[str]:
    """Yield the lines that a program writes; what a task runs.

    A thread feeds the program, for it may write before it has read all. What fails there is raised here.
    """
    try:
        # The world is the executor's; here is user code's side, and the child ends with the attempt.
        process = subprocess.Popen(arguments, env=os.environ | env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except OSError as error:
        raise RuntimeError(f"pipe cannot start {shlex.join(arguments)}: {error}") from error
    assert process.stdin is not None
    assert process.stdout is not None
    failures: list[BaseException] = []
    feeder = threading.Thread(target=feed, args=(process.stdin, records, failures), daemon=True)
    try:
        feeder.start()
        for line in process.stdout:
            yield line.rstrip(b"\n").decode(errors="replace")
        feeder.join()
        code = process.wait()
        if failures:
            raise failures[0]
        if code < 0 or (check_code and code):
            raise RuntimeError(f"pipe: {shlex.join(arguments)} ended with code {code}")
    finally:
        # Also when a reader stops early, or the task is killed.
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
        feeder.join()


def feed(stdin: IO[bytes], records: Iterator[Any], failures: list[BaseException]) -> None:
    """Write records as lines; a program that reads no further is no error."""
    try:
        with stdin:
            for record in records:
                stdin.write(str(record).rstrip("\n").encode() + b"\n")
    except BrokenPipeError:
        pass
    except BaseException as error:  # noqa: BLE001 - raised by the task's own thread
        failures.append(error)
