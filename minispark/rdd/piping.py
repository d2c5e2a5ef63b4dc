"""`RDD.pipe`: a program of the system that gets a partition's records as lines, and whose lines are the new records.

A part of `rdd.RDD`. The program runs beside the task, on the task's core. Source: PySpark's RDD.pipe.
"""

import os
import selectors
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

from minispark.errors import ConfigurationError
from minispark.rdd.face import Face
from minispark.rdd.narrow import MapPartitionsNode
from minispark.urls import shown

if TYPE_CHECKING:
    from minispark.rdd.rdd import RDD

__all__ = ["PipeMethods"]

PIECE_BYTES: Final = 1 << 15  # about how much is computed before some of it is written
READ_BYTES: Final = 1 << 16

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
            raise ConfigurationError(f"pipe cannot take {shown(str(command))!r} apart: {error}") from None
        if not arguments:
            raise ConfigurationError("pipe needs a program to run")
        through = partial(lines_through, arguments, dict(env or {}), check_code)
        # How a program takes the records is not known: another order may give other lines.
        return self.derive(MapPartitionsNode(self.origin("pipe"), self.node, through, is_order_sensitive=True))


def lines_through(
    arguments: list[str], env: dict[str, str], check_code: bool, index: int, records: Iterator[Any]
) -> Iterator[str]:
    """Yield the lines that a program writes; what a task runs.

    Records are computed when the program can take some, and lines are read when it has written some: on the task's
    own thread, where functions of the user find their context and accumulators.
    """
    try:
        # The world is the executor's; here is user code's side, and the child ends with the attempt.
        process = subprocess.Popen(
            arguments, env=os.environ | env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
    except OSError as error:
        raise RuntimeError(f"pipe cannot start {shown(shlex.join(arguments))}: {error}") from error
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield from exchanged(process.stdin, process.stdout, pieces_of(records))
        code = process.wait()
        if code < 0 or (check_code and code):
            raise RuntimeError(f"pipe: {shown(shlex.join(arguments))} ended with code {code}")
    finally:
        # Also when a reader stops early, the records fail, or the task is killed.
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdin.close()
        process.stdout.close()


def exchanged(stdin: IO[bytes], stdout: IO[bytes], pieces: Iterator[bytes]) -> Iterator[str]:
    """Write pieces and yield lines, whichever is possible, until both are at their ends."""
    os.set_blocking(stdin.fileno(), False)
    piece = memoryview(b"")
    parts: list[bytes] = []  # of a line whose end has not come
    with selectors.DefaultSelector() as selector:
        selector.register(stdin, selectors.EVENT_WRITE)
        selector.register(stdout, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                if key.fileobj is stdin:
                    piece = piece or memoryview(next(pieces, b""))
                    written = write_some(stdin, piece)
                    piece = piece[written:]
                    if not written:
                        selector.unregister(stdin)
                        stdin.close()
                    continue
                data = os.read(stdout.fileno(), READ_BYTES)
                if not data:
                    selector.unregister(stdout)
                *lines, rest = data.split(b"\n")
                for line in lines:
                    yield b"".join((*parts, line)).decode(errors="replace")
                    parts.clear()
                parts.append(rest)
    if last := b"".join(parts):
        yield last.decode(errors="replace")


def write_some(stdin: IO[bytes], piece: memoryview) -> int:
    """Write as much of a piece as a program can take; return how much: 0 if it reads no further, which is no error.

    Called when it can take some; so an empty piece, which there is at the end, is the only other reason for 0.
    """
    try:
        return os.write(stdin.fileno(), piece)
    except BrokenPipeError:
        return 0


def pieces_of(records: Iterator[Any]) -> Iterator[bytes]:
    """Yield records as lines, many together."""
    lines: list[bytes] = []
    size = 0
    for record in records:
        line = str(record).rstrip("\n").encode() + b"\n"
        lines.append(line)
        size += len(line)
        if size >= PIECE_BYTES:
            yield b"".join(lines)
            lines.clear()
            size = 0
    yield b"".join(lines)
