"""What the worker tells an executor process on its command line.

Read by `__main__` before anything else is loaded, so it imports next to nothing; argparse alone would take 10 ms.
"""

from collections.abc import Sequence
from typing import Final

from minispark.errors import ConfigurationError
from minispark.ids import ApplicationId, ExecutorId
from minispark.record import Record, record
from minispark.rpc.logic.address import RpcAddress

__all__ = ["Arguments"]

USAGE: Final = (
    "python -m minispark.executor --driver HOST:PORT --executor-id N --host NAME --cores N --memory BYTES "
    "--app-id ID --lifeline FD [--directory DIR]"
)
NEEDED: Final = ("driver", "executor-id", "host", "cores", "memory", "app-id", "lifeline")
NUMBERS: Final = {"cores": 1, "memory": 1, "lifeline": 0}  # and the least that they may be


@record
class Arguments(Record):
    """The command line of an executor process.

    Attributes:
        driver: where the driver listens.
        executor_id: this executor's name in the application.
        host: the name of this host, on which it listens and by which peers and locality know it.
        cores: tasks at once.
        memory_bytes: what it was granted.
        app_id: the application.
        lifeline: a descriptor; see `lifeline.Lifeline`.
        directory: where its session directory goes; empty: `minispark.local.dir`.
    """

    driver: RpcAddress
    executor_id: ExecutorId
    host: str
    cores: int
    memory_bytes: int
    app_id: ApplicationId
    lifeline: int
    directory: str = ""

    @classmethod
    def parse(cls, words: Sequence[str]) -> "Arguments":
        """Read the words behind the module's name.

        Raises:
            ConfigurationError: a word is missing, unknown or of the wrong form.
        """
        texts = pairs(words)
        number = {name: whole(name, texts[name], least) for name, least in NUMBERS.items()}
        return cls(
            RpcAddress.parse(texts["driver"]),
            ExecutorId(texts["executor-id"]),
            texts["host"],
            number["cores"],
            number["memory"],
            ApplicationId(texts["app-id"]),
            number["lifeline"],
            texts.get("directory", ""),
        )


def pairs(words: Sequence[str]) -> dict[str, str]:
    """Return the values by name; every name that is needed is there."""
    names, values = words[::2], words[1::2]
    texts = {name.removeprefix("--"): value for name, value in zip(names, values, strict=False)}
    wrong = [name for name in names if name not in {f"--{known}" for known in (*NEEDED, "directory")}]
    missing = [f"--{name}" for name in NEEDED if not texts.get(name)]
    if wrong or missing or len(names) != len(values):
        raise ConfigurationError(f"{' '.join(wrong or missing) or names[-1]} is not understood or missing: {USAGE}")
    return texts


def whole(name: str, text: str, least: int) -> int:
    """Read a whole number."""
    if not text.isdecimal() or int(text) < least:
        raise ConfigurationError(f"--{name} {text!r} is not a whole number of at least {least}: {USAGE}")
    return int(text)
