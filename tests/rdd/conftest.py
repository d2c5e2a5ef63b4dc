"""What an RDD means is tested on several engines: the serial reference, and the real one with its pools."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

import pytest

from minispark.conf import SparkConf
from minispark.context import SparkContext
from minispark.rdd.ports import JobRunner
from minispark.testing.serial import SerialJobRunner
from minispark.testing.virtual_loop import run_virtual

T = TypeVar("T")

Job = Callable[[JobRunner], Coroutine[Any, Any, T]]


class Engine(Protocol):
    """Runs what a test does with a context, and returns its value."""

    def __call__(self, job: Job[T], /, **settings: object) -> T: ...


class Scatter:
    """Gives another number each time it is asked, whatever the key."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, key: object) -> int:
        self.calls += 1
        return self.calls * 7919 % 10_007


def configured(settings: dict[str, object]) -> SparkConf:
    return SparkConf({f"minispark.{key.replace('__', '.')}": value for key, value in settings.items()})


def on_serial(job: Job[T], /, **settings: object) -> T:
    return run_virtual(job(SerialJobRunner(configured(settings))))


def on_pool(pool: str) -> Engine:
    def run(job: Job[T], /, **settings: object) -> T:
        async def main() -> T:
            conf = configured({"executor__pool": pool, **settings})
            async with SparkContext("local[2]", conf=conf) as context:
                return await job(context)

        return asyncio.run(main())

    return run


ENGINES: dict[str, Engine] = {"serial": on_serial, "inline": on_pool("inline"), "process": on_pool("process")}


@pytest.fixture(params=["serial", "inline", pytest.param("process", marks=pytest.mark.cluster)])
def engine(request: pytest.FixtureRequest) -> Engine:
    return ENGINES[request.param]


@pytest.fixture
def serial() -> Engine:
    return on_serial
