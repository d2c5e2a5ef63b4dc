"""Master URLs: where an application's tasks run."""

import re

from minispark.errors import ConfigurationError
from minispark.record import Record, record

__all__ = ["LocalMaster", "parse_master"]

MAX_CORES = 1024
"""Each is a process; whoever needs more than this on one machine has mistyped."""

FORMS = (
    "local, local[N], local[*], local[N,F] or local[*,F] (N: tasks at once, F: failures of a task, both at least 1)"
)
LOCAL = re.compile(r"local(?:\[\s*(?P<cores>[^,\]]*?)\s*(?:,\s*(?P<failures>[^,\]]*?)\s*)?\])?")


@record
class LocalMaster(Record):
    """Everything in one process and its runners.

    Attributes:
        cores: tasks at once.
        max_failures: failures of one task before its job is given up; None: the URL does not say.
    """

    cores: int
    max_failures: int | None = None


def parse_master(url: str, available_cores: int) -> LocalMaster:
    """Read a master URL; `*` stands for the available cores.

    Raises:
        ConfigurationError: naming the URL and the forms that are right.
    """
    match = LOCAL.fullmatch(url.strip())
    if match is None:
        raise ConfigurationError(f"{url!r} is not a master URL: use {FORMS}")
    if "[" not in url:
        return LocalMaster(1)
    cores, failures = match["cores"], match["failures"]
    wanted = available_cores if cores == "*" else positive_number(url, cores)
    if wanted > MAX_CORES:
        raise ConfigurationError(f"{url!r} asks for {wanted} runner processes; at most {MAX_CORES} can be had")
    return LocalMaster(
        wanted,
        None if failures is None else positive_number(url, failures),
    )


def positive_number(url: str, text: str) -> int:
    """Read a number ≥ 1 out of a master URL."""
    if not re.fullmatch(r"[0-9]+", text) or int(text) < 1:
        raise ConfigurationError(f"{text!r} in the master URL {url!r} is not a number of at least 1: use {FORMS}")
    return int(text)
