"""Writes docs/configuration.md from the table in `minispark.conf`; `make docs` runs it, a test compares.

The page is the table and nothing else, so that it cannot say anything the code does not.
"""

import sys
from pathlib import Path
from typing import Any

from minispark.conf import settings
from minispark.setting import BYTES, SECONDS, Setting

__all__ = ["PAGE", "main", "page"]

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"

HEADER = """# Configuration

Written from `minispark/conf.py` by `make docs`.

Values come from, in falling priority: code (`SparkConf().set("minispark.task.maxFailures", 4)`), options of commands
(`--conf minispark.task.maxFailures=4`), the environment (`MINISPARK_TASK_MAXFAILURES=4`: no case, `_` for the dot),
`--properties-file`, the default. `spark.` may stand for `minispark.` in a key.
A size may have a unit of 1024 (`512k`, `64m`, `1g`), a duration one of `us`, `ms`, `s`, `min`, `h`, `d`. A value
of the wrong form is an error at once, and so is an unknown key in code; other variables of the environment that begin
with `MINISPARK_` are passed over.

Beside the table: `minispark.executorEnv.NAME` sets the environment variable `NAME` of a cluster's executors, and so
of the tasks that run there.

| key | default | takes | what it does |
|---|---|---|---|
"""

SIZES = ((1 << 30, "g"), (1 << 20, "m"), (1 << 10, "k"))
DURATIONS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (0.001, "ms"))


def default_text(setting: "Setting[Any]") -> str:
    """Return a default as a person would write it in code or environment."""
    value = setting.default
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if setting.unit is BYTES:
        return f"`{in_units(value, SIZES)}`"
    if setting.unit is SECONDS:
        return f"`{in_units(value, DURATIONS)}`"
    return f"`{value}`" if value != "" else "empty"


def in_units(value: float, units: tuple[tuple[float, str], ...]) -> str:
    """Return a number in the largest unit that leaves it whole."""
    for size, unit in units:
        if value >= size and (value / size).is_integer():
            return f"{value / size:.0f}{unit}"
    return str(value)


def page() -> str:
    """Return the whole page."""
    rows = (
        f"| `{key}` | {default_text(setting)} | {setting.unit.example} | {setting.doc} |\n"
        for key, setting in sorted(settings().items())
    )
    return HEADER + "".join(rows)


def main() -> int:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
