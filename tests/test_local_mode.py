import asyncio
import gc
import os
from pathlib import Path

import psutil
import pytest

from minispark.conf import SparkConf
from minispark.context import SparkContext
from minispark.errors import ConfigurationError
from minispark.executor.inline_pool import InlinePool
from minispark.executor.process_pool import ProcessPool
from minispark.executor.session import SessionDirectory
from minispark.executor.thread_pool import ThreadPool
from minispark.local_mode import LocalMode
from minispark.rpc.world import SystemWorld
from minispark.testing.virtual_loop import VirtualWorld, run_virtual
from tests.contexts import run_inline


@pytest.mark.parametrize(("name", "pool"), [("process", ProcessPool), ("thread", ThreadPool), ("inline", InlinePool)])
def test_the_setting_chooses_the_pool(name: str, pool: type, tmp_path: Path) -> None:
    conf = SparkConf({"minispark.executor.pool": name, "minispark.local.dir": tmp_path})
    local = LocalMode(conf, VirtualWorld(), 3)
    assert isinstance(local.pool, pool)
    assert local.pool.slots == 3
    local.session.remove()


def test_an_unknown_pool_is_refused_when_it_is_set() -> None:
    with pytest.raises(ConfigurationError, match="one of process, thread, inline"):
        SparkConf().set("minispark.executor.pool", "fibers")


def test_a_close_removes_the_session_directory_also_of_runners_that_never_started(tmp_path: Path) -> None:
    async def scenario() -> None:
        conf = SparkConf({"minispark.executor.pool": "inline", "minispark.local.dir": tmp_path})
        local = LocalMode(conf, VirtualWorld(), 1)
        assert [path.name for path in tmp_path.iterdir()] == [Path(local.location.directory).name]
        local.launch()
        await local.close(0.0)

    run_virtual(scenario())
    assert list(tmp_path.iterdir()) == []


def test_the_next_start_removes_what_a_crash_of_the_host_left(tmp_path: Path) -> None:
    left = SessionDirectory.create(tmp_path, os.urandom)
    (left.path / "shuffle" / "shuffle_0_0.data").write_bytes(b"x")
    left.release()  # nobody holds its lock any more

    async def scenario(sc: SparkContext) -> list[str]:
        assert await sc.parallelize([(1, 2)], 1).group_by_key(1).count() == 1
        return sorted(path.name for path in tmp_path.iterdir())

    assert left.path.name not in run_inline(scenario, local_dir=tmp_path)
    assert list(tmp_path.iterdir()) == [], "and its own files go when it stops"


@pytest.mark.cluster
def test_runners_that_were_launched_and_not_started_end_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        local = LocalMode(SparkConf({"minispark.local.dir": tmp_path}), SystemWorld(), 1)
        local.launch()
        await local.close(0.0)

    asyncio.run(scenario())
    gc.collect()  # a future whose exception nobody has seen complains when it goes
    assert list(tmp_path.iterdir()) == []
    assert caplog.text == ""


@pytest.mark.cluster
def test_abandoned_runners_go_without_their_loop(tmp_path: Path) -> None:
    async def start() -> SparkContext:
        conf = SparkConf({"minispark.local.dir": tmp_path})
        return await SparkContext("local[1]", conf=conf).start()

    forgotten = asyncio.run(start())
    children = psutil.Process().children(recursive=True)
    assert len(children) == 2
    forgotten.discard_after_its_loop()
    assert psutil.wait_procs(children, timeout=60)[1] == []
    assert list(tmp_path.iterdir()) == []
