"""Broadcasts and files of a driver, whole contexts: tasks on the loop, and what is left in the driver afterwards."""

import asyncio
import gc
import os
import sys
from pathlib import Path

import pytest

from minispark import SparkFiles
from minispark.context import SparkContext
from minispark.errors import ConfigurationError, ContextError
from minispark.messages.distribution import FILES_VERSION
from minispark.messages.listener import ListenerEvent, TaskEnd
from minispark.rdd.broadcast import read_file
from minispark.testing.virtual_loop import settle
from tests.contexts import run_inline


def files_of(sc: SparkContext) -> list[str]:
    """Return the files of broadcasts that the driver has."""
    return sorted(os.listdir(os.path.join(sc.driver.distribution.store.directory, "blocks")))


@pytest.mark.scenario("BRD-005", "broadcast spilled to disk")
def test_a_broadcast_is_a_file_from_the_start_and_holds_what_the_value_was(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        value = [1]
        broadcast = sc.broadcast(value)
        value.append(2)
        path = sc.driver.distribution.store.complete(broadcast.broadcast_id)
        assert path is not None
        assert read_file(path) == [1]
        assert broadcast.value is value

    run_inline(scenario, local_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.scenario("BLK-002", "remove block, RDD, broadcast (driver kept or not)")
def test_the_file_goes_with_destroy_and_with_the_last_reference() -> None:
    async def scenario(sc: SparkContext) -> None:
        one, two = sc.broadcast(1), sc.broadcast(2)
        assert len(files_of(sc)) == 2
        await one.destroy()
        assert files_of(sc) == [f"broadcast_{two.broadcast_id}"]
        del two
        gc.collect()
        await settle()
        assert files_of(sc) == []

    run_inline(scenario)


@pytest.mark.scenario("BLK-002", "remove block, RDD, broadcast (driver kept or not)")
def test_unpersist_keeps_the_drivers_copy() -> None:
    async def scenario(sc: SparkContext) -> int:
        broadcast = sc.broadcast(5)
        await broadcast.unpersist()
        assert len(files_of(sc)) == 1
        return await sc.range(2).map(lambda n: n * broadcast.value).sum()

    assert run_inline(scenario) == 5


def test_a_large_closure_travels_as_a_broadcast_and_goes_with_its_job() -> None:
    content = os.urandom(2 << 20)

    async def scenario(sc: SparkContext) -> list[int]:
        sizes = await sc.range(2, num_slices=2).map(lambda n: len(content)).collect()
        await settle()
        assert files_of(sc) == []
        return sizes

    assert run_inline(scenario) == [2 << 20] * 2


@pytest.mark.scenario("BRD-004", "creation after stop refused")
def test_a_stopped_context_broadcasts_nothing() -> None:
    async def scenario(sc: SparkContext) -> None:
        kept = sc.broadcast(1)
        await sc.stop()
        with pytest.raises(ContextError, match="is stopped"):
            sc.broadcast(1)
        assert kept.value == 1
        await kept.destroy()

    run_inline(scenario)


@pytest.mark.scenario("CTX-002", "same file twice")
@pytest.mark.scenario("CTX-002", "same name different path refused")
@pytest.mark.scenario("CTX-002", "list")
def test_a_file_may_be_added_twice_but_no_other_of_its_name(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "name.txt").write_text(folder)

    async def scenario(sc: SparkContext) -> None:
        assert sc.list_files() == []
        for _ in range(2):
            await sc.add_file(tmp_path / "one" / "name.txt")
        version = sc.driver.jobs.files_version
        with pytest.raises(
            ConfigurationError, match=r"a file named name\.txt was added from .*/one/name\.txt already"
        ):
            await sc.add_file(tmp_path / "two" / "name.txt")
        assert sc.list_files() == [str(tmp_path / "one" / "name.txt")]
        assert Path(SparkFiles.get("name.txt")).read_text() == "one"
        (tmp_path / "one" / "name.txt").write_text("new")
        await sc.add_file(tmp_path / "one" / "name.txt")
        assert sc.driver.jobs.files_version > version

    run_inline(scenario)


@pytest.mark.scenario("CTX-002", "recursive")
def test_a_folder_is_added_only_if_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    (tmp_path / "folder" / "sub" / "file").write_text("inner")

    async def scenario(sc: SparkContext) -> list[str]:
        with pytest.raises(ConfigurationError, match="say recursive=True"):
            await sc.add_file(tmp_path / "folder")
        await sc.add_file(tmp_path / "folder", recursive=True)
        read = sc.range(1).map(lambda n: (Path(SparkFiles.get("folder")) / "sub" / "file").read_text())
        return await read.collect()

    assert run_inline(scenario) == ["inner"]


class FirstTask:
    """Tells when the first task has ended."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    def on_event(self, event: ListenerEvent) -> None:
        if isinstance(event, TaskEnd):
            self.ended.set()


@pytest.mark.scenario("HIS-007", "JobArtifactSet")
@pytest.mark.scenario("TSM-050")
def test_a_file_that_is_added_while_tasks_run_is_for_those_of_later_jobs(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).touch()

    async def scenario(sc: SparkContext) -> None:
        listener = FirstTask()
        sc.add_listener(listener)
        await sc.add_file(tmp_path / "one")
        tasks = sc.range(200, num_slices=200)
        job = asyncio.ensure_future(sc.run_job(tasks, lambda context, _: context.get_local_property(FILES_VERSION)))
        await listener.ended.wait()
        before = sc.driver.jobs.files_version
        await sc.add_file(tmp_path / "two")
        assert not job.done()
        after = sc.driver.jobs.files_version
        assert set(await job) == {str(before)}
        assert await sc.run_job(tasks, lambda context, _: context.get_local_property(FILES_VERSION), [0]) == [
            str(after)
        ]
        assert before < after

    run_inline(scenario, "local[1]")


def test_modules_can_be_imported_while_the_context_lives(tmp_path: Path) -> None:
    (tmp_path / "module_of_a_test.py").write_text("def f(n): return n + 1")
    before = list(sys.path)

    async def scenario(sc: SparkContext) -> list[int]:
        await sc.add_py_file(tmp_path / "module_of_a_test.py")
        return await sc.range(2).map(lambda n: __import__("module_of_a_test").f(n)).collect()

    assert run_inline(scenario) == [1, 2]
    assert sys.path == before
    sys.modules.pop("module_of_a_test")
    with pytest.raises(ContextError):
        SparkFiles.get("module_of_a_test.py")
