"""What the program says about the log, in executor processes."""

import asyncio
from pathlib import Path

import pytest

from minispark.conf import SparkConf
from minispark.context import SparkContext
from tests.cluster.daemons import wait_until


@pytest.mark.cluster
def test_executors_log_as_much_as_the_program_says_whenever_they_come(tmp_path: Path) -> None:
    conf = SparkConf({"minispark.local.dir": str(tmp_path), "minispark.log.level": "DEBUG"})

    async def main() -> None:
        async with SparkContext("local-cluster[1,1,512]", conf=conf) as sc:
            assert await sc.range(10).sum() == 45
            (log,) = tmp_path.rglob("stderr")
            wait_until(lambda: "from DEBUG on" in log.read_text(), "who comes after that was said, hears it")
            sc.set_log_level("info")
            await sc.range(10).sum()  # the loop that sends it has to run
            wait_until(lambda: "from INFO on" in log.read_text(), "who is there hears it")

    asyncio.run(main())
