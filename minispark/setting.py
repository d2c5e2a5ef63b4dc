"""One setting: its key, default and meaning, and how its text is read. `conf.SparkConf` is the table of all."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Self, TypeVar, overload

from minispark.errors import ConfigurationError

if TYPE_CHECKING:
    from minispark.conf import SparkConf

__all__ = [
    "BYTES",
    "FLAG",
    "FRACTION",
    "INTEGER",
    "OPTIONAL_FLAG",
    "OPTIONAL_SECONDS",
    "PREFIX",
    "SECONDS",
    "TEXT",
    "Setting",
    "Unit",
    "fraction",
    "not_negative",
    "one_of",
    "optional_positive",
    "parse_bytes",
    "parse_duration",
    "positive",
]

T = TypeVar("T")

PREFIX = "minispark."

SIZE_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
DURATION_UNITS = {
    "": 1.0,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}


def split_unit(text: str) -> tuple[float, str]:
    """Split "1.5g" into its number and its lower-case unit."""
    text = text.strip().lower()
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    return float(digits), text[len(digits) :].strip()


def parse_bytes(text: str) -> int:
    """Read a size: a number of bytes, or with a unit of 1024: `512k`, `64m`, `1g`, `64mib`."""
    number, unit = split_unit(text)
    return int(number * SIZE_UNITS[unit.removesuffix("ib").removesuffix("b") if unit != "b" else "b"])


def parse_duration(text: str) -> float:
    """Read a duration in seconds: a number of seconds, or with a unit: `200ms`, `30s`, `5min`, `1h`."""
    number, unit = split_unit(text)
    return number * DURATION_UNITS[unit]


def parse_flag(text: str) -> bool:
    """Read `true` or `false`, in any case."""
    return {"true": True, "false": False}[text.strip().lower()]


def parse_text(text: str) -> str:
    """Take a text as it is."""
    return text


@dataclass(frozen=True)
class Unit(Generic[T]):
    """How a setting's text is read and what the message says when it cannot be."""

    parse: Callable[[str], T]
    example: str


INTEGER: Unit[int] = Unit(int, "a whole number, as 4")
FLAG: Unit[bool] = Unit(parse_flag, "true or false")
OPTIONAL_FLAG: Unit[bool | None] = Unit(parse_flag, "true or false")
TEXT: Unit[str] = Unit(parse_text, "a text")
BYTES: Unit[int] = Unit(parse_bytes, "a size in bytes, as 512k, 64m, 1g")
SECONDS: Unit[float] = Unit(parse_duration, "a duration, as 200ms, 30s, 5min")
OPTIONAL_SECONDS: Unit[float | None] = Unit(parse_duration, "a duration, as 200ms, 30s, 5min")
FRACTION: Unit[float] = Unit(float, "a number, as 0.5")


class Setting(Generic[T]):
    """One entry of the table; read through an instance of SparkConf it gives the typed value.

    `old_keys` are names that Spark gave it before; they are taken, with a warning.
    """

    def __init__(
        self,
        key: str,
        default: T,
        unit: Unit[T],
        doc: str,
        check: Callable[[T], bool] | None = None,
        *,
        old_keys: tuple[str, ...] = (),
    ) -> None:
        self.key = PREFIX + key
        self.default = default
        self.unit = unit
        self.doc = doc
        self.check = check
        self.old_keys = tuple(PREFIX + old_key for old_key in old_keys)

    @overload
    def __get__(self, conf: None, owner: type) -> Self: ...
    @overload
    def __get__(self, conf: "SparkConf", owner: type) -> T: ...
    def __get__(self, conf: "SparkConf | None", owner: type) -> Self | T:
        if conf is None:
            return self
        text = conf.texts.get(self.key)
        return self.default if text is None else self.read(text)

    def read(self, text: str) -> T:
        """Parse and check a text.

        Raises:
            ConfigurationError: naming the key, the value and the form that is right.
        """
        try:
            value = self.unit.parse(text)
        except (ValueError, KeyError, OverflowError):
            value = None
        if value is None or (self.check is not None and not self.check(value)):
            raise ConfigurationError(f"{self.key} = {text!r} is not valid: {self.unit.example} is needed. {self.doc}")
        return value


def positive(value: float) -> bool:
    """Tell whether a number is above zero."""
    return 0 < value < math.inf


def optional_positive(value: float | None) -> bool:
    """Tell whether a number is above zero; one that is not set is none to complain of."""
    return value is None or positive(value)


def not_negative(value: float | None) -> bool:
    """Tell whether a number is zero or above; one that is not set is none to complain of."""
    return value is None or 0 <= value < math.inf


def fraction(value: float) -> bool:
    """Tell whether a number is from 0 to 1."""
    return 0 <= value <= 1


def one_of(*names: str) -> Unit[str]:
    """Make the unit of a setting that takes one of a few words."""

    def parse(text: str) -> str:
        word = text.strip().lower()
        if word not in names:
            raise ValueError(word)
        return word

    return Unit(parse, "one of " + ", ".join(names))
