"""What the exit codes of `minispark` mean, and how an error becomes one line and one of them."""

import contextlib
import enum
import logging
from collections.abc import Iterator
from typing import NoReturn

import click

from minispark.errors import ConfigurationError, MiniSparkError, RpcError

__all__ = ["Exit", "fail", "one_line_errors"]


class Exit(enum.IntEnum):
    """The exit codes of `minispark`; a program that it runs in this process's place ends with its own.

    Attributes:
        DONE: it ended as it was told to.
        FAILED: something went wrong while it ran.
        WRONG: an argument, a setting, a secret or a file is wrong; nothing was started.
        CANNOT_LISTEN: the port is in use, or the address is not one of this machine.
        NO_MASTER: no master answers, or none that rules.
        INTERRUPTED: Ctrl-C.
    """

    DONE = 0
    FAILED = 1
    WRONG = 2
    CANNOT_LISTEN = 3
    NO_MASTER = 4
    INTERRUPTED = 130


def fail(command: str, text: object, code: Exit) -> NoReturn:
    """Say in one line what is wrong, and end."""
    click.echo(f"minispark {command}: {' '.join(str(text).split())}", err=True)
    raise SystemExit(int(code))


@contextlib.contextmanager
def one_line_errors(command: str, unreachable: Exit = Exit.NO_MASTER) -> Iterator[None]:
    """Turn errors that a person can do something about into one line; others are bugs, and keep their traceback.

    Args:
        command: its name.
        unreachable: the code for what goes wrong between processes.
    """
    try:
        yield
    except ConfigurationError as error:
        report(command, error, Exit.WRONG)
    except RpcError as error:
        report(command, error, unreachable)
    except (MiniSparkError, OSError) as error:
        report(command, error, Exit.FAILED)
    except KeyboardInterrupt:
        fail(command, "interrupted", Exit.INTERRUPTED)


def report(command: str, error: Exception, code: Exit) -> NoReturn:
    """Fail; with `--verbose` the traceback is shown too."""
    logging.getLogger(__name__).debug("the whole error", exc_info=error)
    fail(command, error, code)
