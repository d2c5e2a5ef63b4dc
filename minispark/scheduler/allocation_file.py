"""Pools from a file: `fairscheduler.xml` as Spark reads it, or the same as TOML, where pools can hold pools.

Read once, when the driver starts; a value that cannot be used is logged and becomes its default, as in Spark.
"""

import logging
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from minispark.errors import ConfigurationError
from minispark.scheduler.logic.pool import DEFAULT_POOL, Mode, PoolSpec

__all__ = ["DEFAULT_FILES", "find_pools", "read_pools"]

DEFAULT_FILES: Final = ("fairscheduler.xml", "fairscheduler.toml")

logger = logging.getLogger(__name__)


def find_pools(configured: str, folder: Path) -> list[PoolSpec]:
    """Return the pools of the configured file, else of a default file in the folder, else none.

    Args:
        configured: `minispark.scheduler.allocation.file`; empty if it is not set.
        folder: where default files are looked for: the working directory.

    Raises:
        ConfigurationError: the configured file is missing, or a file cannot be read as what its name says.
    """
    if configured:
        return read_pools(Path(configured))
    for name in DEFAULT_FILES:
        if (folder / name).exists():
            return read_pools(folder / name)
    return []


def read_pools(path: Path) -> list[PoolSpec]:
    """Return the pools of a file, `.toml` or XML.

    Raises:
        ConfigurationError: the file is missing or malformed, or has a pool in two places; the text names it.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            return usable(pools_of_table(tomllib.loads(text), "", path), path)
        return usable(pools_of_xml(ET.fromstring(text), path), path)
    except OSError as error:
        raise ConfigurationError(
            f"the allocation file {path} cannot be read: {error.strerror}; see minispark.scheduler.allocation.file"
        ) from error
    except (ET.ParseError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the allocation file {path} is malformed: {error}") from error


def usable(pools: Iterable[PoolSpec], path: Path) -> list[PoolSpec]:
    """Return the pools that jobs can name.

    Raises:
        ConfigurationError: two pools of one name are in different pools, so that jobs cannot tell them apart.
    """
    parents = {DEFAULT_POOL: ""}
    named = []
    for spec in pools:
        if not spec.name:
            logger.warning("a pool in %s has no name, so that no job can use it: it is left out", path)
        elif parents.setdefault(spec.name, spec.parent) != spec.parent:
            raise ConfigurationError(
                f"the allocation file {path} has pool {spec.name!r} in {spec.parent or 'the root'!r} and in "
                f"{parents[spec.name] or 'the root'!r}: the names of pools are unique"
            )
        else:
            named.append(spec)
    return named


def pools_of_xml(root: ET.Element, path: Path) -> Iterator[PoolSpec]:
    """Yield the pools of Spark's format: `<allocations><pool name="…"><weight>…`."""
    for element in root.findall("pool"):
        values = {child.tag: child.text or "" for child in element}
        yield pool_of(
            element.get("name", ""),
            values.get("schedulingMode"),
            values.get("minShare"),
            values.get("weight"),
            "",
            path,
        )


def pools_of_table(table: Mapping[str, Any], parent: str, path: Path) -> Iterator[PoolSpec]:
    """Yield the pools of a table `pools`, those around others first: `[pools.etl]`, `[pools.etl.pools.nightly]`."""
    pools = table.get("pools", {})
    if not isinstance(pools, Mapping):
        raise ConfigurationError(
            f"the allocation file {path} is malformed: pools are tables, [pools.NAME], not {pools!r}"
        )
    for name, values in pools.items():
        if not isinstance(values, Mapping):
            raise ConfigurationError(f"the allocation file {path} is malformed: pool {name!r} is not a table")
        yield pool_of(name, values.get("mode"), values.get("min_share"), values.get("weight"), parent, path)
        yield from pools_of_table(values, name, path)


def pool_of(name: str, mode: Any, min_share: Any, weight: Any, parent: str, path: Path) -> PoolSpec:
    """Make a pool of what a file says; None stands for what it does not say."""
    return PoolSpec(
        name,
        Mode.FIFO if mode is None else mode_of(str(mode), name, path),
        0 if min_share is None else number_of(str(min_share), 0, 0, f"minimum share of pool {name!r} in {path}"),
        1 if weight is None else number_of(str(weight), 1, 1, f"weight of pool {name!r} in {path}"),
        parent,
    )


def mode_of(text: str, name: str, path: Path) -> Mode:
    """Read a scheduling mode, in any case; FIFO if it is none."""
    try:
        return Mode(text.strip().lower())
    except ValueError:
        logger.warning("%r is not a scheduling mode (pool %r in %s): FIFO is used", text, name, path)
        return Mode.FIFO


def number_of(text: str, least: int, default: int, what: str) -> int:
    """Read a whole number; the default if it is none or too small."""
    try:
        number = int(text.strip())
    except ValueError:
        number = least - 1
    if number < least:
        logger.warning("%r is not a whole number of at least %d (%s): %d is used", text, least, what, default)
        return default
    return number
