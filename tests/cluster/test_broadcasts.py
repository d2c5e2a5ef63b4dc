"""Broadcasts and files in real runner processes, of local mode and of a cluster."""

import asyncio
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from minispark import SparkConf, SparkContext, SparkFiles
from minispark.errors import ContextError

pytestmark = pytest.mark.cluster
SIZE = 9_000_000  # three pieces


def conf(folder: Path, share: bool = True) -> SparkConf:
    return SparkConf({"minispark.local.dir": folder, "minispark.shuffle.readHostLocal": share})


def mappings(name: str) -> list[str]:
    """Return this process's mappings of a file, by its name."""
    return [line for line in Path("/proc/self/maps").read_text().splitlines() if name in line]


async def use_broadcasts(sc: SparkContext) -> None:
    content = os.urandom(SIZE)
    large, small = sc.broadcast(content), sc.broadcast({"a": 1})
    tasks = sc.parallelize(range(8), 8)

    async def read() -> list[Any]:
        return await tasks.map(
            lambda n: (hash(large.value), len(large.value), small.value["a"], os.getpid())
        ).collect()

    found = [*await read(), *await read()]
    assert {row[1:3] for row in found} == {(SIZE, 1)}
    assert len({row[0] for row in found}) == 1
    await large.unpersist()
    assert {row[1] for row in await read()} == {SIZE}
    await large.destroy()
    late = sc.parallelize(range(2), 2).map(lambda n: mappings("broadcast_"))
    assert all("deleted" not in line for lines in await late.collect() for line in lines)
    with pytest.raises(ContextError, match="was destroyed at test_broadcasts"):
        _ = large.value


@pytest.mark.scenario("BRD-001", "use locally")
@pytest.mark.scenario("BRD-003", "unpersist on executors only / executors+driver × local/distributed")
@pytest.mark.scenario("BRD-001", "in a local cluster (± encryption)")
@pytest.mark.parametrize(("master", "share"), [("local[2]", True), ("local-cluster[2,1,512]", False)])
def test_tasks_read_broadcasts_until_they_are_destroyed(tmp_path: Path, master: str, share: bool) -> None:
    async def main() -> None:
        async with SparkContext(master, conf=conf(tmp_path, share)) as sc:
            await use_broadcasts(sc)

    asyncio.run(main())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.scenario("BRD-001", "from many threads")
@pytest.mark.scenario("BRD-005", "one value instance per executor, also under memory pressure (weak cache)")
def test_jobs_at_once_share_one_value_in_each_runner(tmp_path: Path) -> None:
    async def main() -> None:
        async with SparkContext("local[2]", conf=conf(tmp_path)) as sc:
            broadcast = sc.broadcast(list(range(1000)))
            jobs = [
                sc.parallelize(range(4), 4).map(lambda n: (os.getpid(), id(broadcast.value))).collect()
                for _ in range(5)
            ]
            places = {row for rows in await asyncio.gather(*jobs) for row in rows}
            assert len(places) == len({pid for pid, _ in places})
            assert broadcast.value[999] == 999

    asyncio.run(main())


@pytest.mark.scenario("DIS-002", "broadcast")
@pytest.mark.parametrize("master", ["local[2]", "local-cluster[2,1,512]"])
def test_modules_files_and_archives_are_where_tasks_run(tmp_path: Path, master: str) -> None:
    source, session = tmp_path / "source", tmp_path / "session"
    source.mkdir()
    session.mkdir()
    (source / "module_one.py").write_text("def f(n): return n * 10")
    (source / "data.txt").write_text("data")
    with zipfile.ZipFile(source / "module_two.zip", "w") as archive:
        archive.writestr("package_two/__init__.py", "x = 2")

    def use(n: int) -> tuple[Any, ...]:
        package = __import__("package_two")
        return __import__("module_one").f(n), package.x, Path(SparkFiles.get("data.txt")).read_text()

    async def main() -> list[Any]:
        async with SparkContext(master, conf=conf(session)) as sc:
            numbers = sc.parallelize(range(4), 4)
            assert await numbers.count() == 4  # the runners are there before the files
            await sc.add_py_file(source / "module_one.py")
            await sc.add_py_file(source / "module_two.zip")
            await sc.add_file(source / "data.txt")
            await sc.add_archive(f"{source}/module_two.zip#unpacked")
            inner = numbers.map(lambda n: os.listdir(SparkFiles.get("unpacked")))
            assert await inner.first() == ["package_two"]
            factor = sc.broadcast(1)
            return await numbers.map(lambda n: use(n * factor.value)).collect()

    assert asyncio.run(main()) == [(n * 10, 2, "data") for n in range(4)]
    assert list(session.iterdir()) == []
