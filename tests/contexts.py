"""Contexts for tests: the whole driver on a virtual loop with the inline pool, or real threads and processes."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from minispark.conf import SparkConf
from minispark.context import SparkContext
from minispark.local_mode import LocalMode
from minispark.testing.virtual_loop import VirtualWorld, run_virtual

__all__ = ["inline_conf", "new_context", "run_inline", "session_directory"]

T = TypeVar("T")


def inline_conf(**settings: object) -> SparkConf:
    """Return a conf with the inline pool; `task_maxFailures=2` stands for `minispark.task.maxFailures`."""
    conf = SparkConf({f"minispark.{key.replace('_', '.')}": value for key, value in settings.items()})
    return conf.set("minispark.executor.pool", "inline")


def new_context(master: str = "local[2]") -> SparkContext:
    """Return a context that is not started, whose tasks run inline."""
    return SparkContext(master, conf=inline_conf(), world=VirtualWorld())


def run_inline(scenario: Callable[[SparkContext], Awaitable[T]], master: str = "local[2]", **settings: object) -> T:
    """Run a scenario with a context whose tasks run inline, in virtual time; assert that nothing is left."""

    async def run() -> T:
        async with SparkContext(master, conf=inline_conf(**settings), world=VirtualWorld()) as sc:
            result = await scenario(sc)
        sc.driver.assert_empty()
        return result

    return run_virtual(run())


def session_directory(sc: SparkContext) -> Path:
    """Return where the executor of a local context keeps what it writes."""
    assert isinstance(sc.driver.mode, LocalMode)
    return sc.driver.mode.session.path
