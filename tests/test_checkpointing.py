"""Checkpoints in contexts: written after the first job, read from then on, in the middle of whatever happens."""

import asyncio
import gc
import os
import shutil
from operator import add
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from minispark.checkpointing import check_parts
from minispark.context import SparkContext
from minispark.errors import ConfigurationError, JobCancelled, StorageError
from minispark.ids import JobId
from minispark.messages.scheduler import JobSubmitted, pack_integers
from minispark.messages.storage_level import StorageLevel
from minispark.rdd.files import names_in
from minispark.rdd.lineage import describe
from minispark.rdd.rdd import RDD
from minispark.rdd.shuffled import shuffle_of
from minispark.testing.builders import fetch_failed, result_success
from tests.contexts import run_inline
from tests.scheduler.logic.dag_harness import dag


def counted(sc: SparkContext, directory: Path | str) -> tuple[RDD[tuple[int, int]], Any]:
    """Return an RDD to checkpoint and an accumulator that counts how many of its records were computed."""
    sc.set_checkpoint_dir(directory)
    computed = sc.accumulator(0)

    def pair(number: int) -> tuple[int, int]:
        computed.add(1)
        return number % 3, number

    return sc.parallelize(range(12), 3).map(pair), computed


CHECKPOINT = pytest.mark.scenario("HIS-007", "Checkpoint")
LOCAL_CHECKPOINT = pytest.mark.scenario("HIS-007", "LocalCheckpoint")


@CHECKPOINT
@pytest.mark.parametrize("is_local", [False, True])
@pytest.mark.parametrize(
    "kind",
    [
        "source", "narrow", "piped", "shuffled", "cogrouped", "union", "zipped", "zipped partitions", "pruned",
        "coalesced", "cartesian", "paired",
    ],
)  # fmt: skip
def test_an_rdd_of_any_kind_is_the_same_from_what_was_kept(tmp_path: Path, kind: str, is_local: bool) -> None:
    async def job(sc: SparkContext) -> Any:
        base, computed = counted(sc, tmp_path)
        kinds: dict[str, Any] = {
            "source": lambda: sc.parallelize([(1, 2), (3, 4)], 2),
            "narrow": lambda: base.map_values(str),
            "piped": lambda: base.map(repr).pipe("cat").key_by(len),
            "zipped partitions": lambda: base.zip_partitions(zip, base.map_values(str)),
            "pruned": lambda: base.prune_partitions(lambda index: index != 1),
            "shuffled": lambda: base.reduce_by_key(add, 2),
            "cogrouped": lambda: base.join(base.reduce_by_key(add), 2),
            "union": lambda: base.union(base).map_values(str),
            "zipped": lambda: base.zip(base),
            "coalesced": lambda: base.coalesce(2),
            "paired": lambda: base.reduce_by_key(add, 2).union(base.partition_by(2)),
            "cartesian": lambda: base.cartesian(base.coalesce(1)),
        }
        rdd = kinds[kind]()
        below = rdd.map(repr)
        before = sorted(await below.collect())
        shape = rdd.get_num_partitions(), rdd.partitioner
        _ = rdd.local_checkpoint() if is_local else rdd.checkpoint()
        again = sorted(await below.collect())
        assert rdd.is_checkpointed
        done = computed.value
        after = [sorted(await below.collect()), sorted(await rdd.map(repr).collect())]
        assert (rdd.get_num_partitions(), rdd.partitioner, computed.value) == (*shape, done)
        return [again == before, after == [before, before]]

    assert run_inline(job) == [True, True]


def test_the_files_are_written_by_one_more_computation_or_of_what_is_cached(tmp_path: Path) -> None:
    async def job(sc: SparkContext) -> Any:
        numbers = []
        for cached in (False, True):
            rdd, computed = counted(sc, tmp_path)
            if cached:
                rdd.cache()
            rdd.checkpoint()
            await rdd.count()
            await rdd.count()
            files = sorted(os.listdir(rdd.get_checkpoint_file() or ""))
            numbers.append((computed.value, files))
        return numbers

    files = ["_SUCCESS", "part-00000", "part-00001", "part-00002"]
    assert run_inline(job) == [(24, files), (12, files)]


@CHECKPOINT
def test_an_rdd_without_partitions_is_checkpointed(tmp_path: Path) -> None:
    async def job(sc: SparkContext) -> Any:
        sc.set_checkpoint_dir(tmp_path)
        rdd = sc.empty_rdd().checkpoint()
        return await rdd.count(), rdd.is_checkpointed, await rdd.collect()

    assert run_inline(job) == (0, True, [])


@CHECKPOINT
@pytest.mark.parametrize("is_local", [False, True])
def test_what_was_made_of_an_rdd_before_reads_it_from_what_was_kept(tmp_path: Path, is_local: bool) -> None:
    async def job(sc: SparkContext) -> Any:
        ones, computed = counted(sc, tmp_path)
        children: list[RDD[Any]] = [
            ones.coalesce(2),
            ones.cartesian(ones),
            ones.zip(ones),
            ones.zip_partitions(zip, ones),
        ]
        before = [sorted(await child.collect()) for child in children]
        _ = ones.local_checkpoint() if is_local else ones.checkpoint()
        await ones.count()
        done = computed.value
        return [sorted(await child.collect()) for child in children] == before, computed.value - done

    assert run_inline(job) == (True, 0)


@CHECKPOINT
@pytest.mark.parametrize("compress", [True, False])
def test_files_are_compressed_if_that_is_set_and_read_back_either_way(tmp_path: Path, compress: bool) -> None:
    async def job(sc: SparkContext) -> Any:
        rdd = sc.parallelize(["the same words again"] * 5000, 1).checkpoint()
        assert await rdd.count() == 5000
        size = (Path(rdd.get_checkpoint_file() or "") / "part-00000").stat().st_size
        return size < 5000, set(await rdd.collect())

    found = run_inline(job, checkpoint_compress=compress, checkpoint_dir=tmp_path)
    assert found == (compress, {"the same words again"})


@CHECKPOINT
def test_the_settings_may_say_where_files_go(tmp_path: Path) -> None:
    async def job(sc: SparkContext) -> Any:
        rdd = sc.parallelize(range(4), 2).map(str).checkpoint()
        before = await rdd.collect()
        return before == await rdd.collect(), rdd.is_checkpointed, str(rdd.get_checkpoint_file())

    same, is_checkpointed, path = run_inline(job, checkpoint_dir=tmp_path)
    assert (same, is_checkpointed) == (True, True)
    assert path.startswith(f"{tmp_path}/")


def test_jobs_at_the_same_time_share_one_checkpoint(tmp_path: Path) -> None:
    async def job(sc: SparkContext) -> Any:
        rdd, computed = counted(sc, tmp_path)
        rdd.checkpoint()
        found = await asyncio.gather(*[rdd.map(len).count() for _ in range(4)])
        return found, computed.value

    assert run_inline(job) == ([12] * 4, 12 * 5)


def test_shuffles_written_before_are_used_and_made_good_from_the_files(tmp_path: Path) -> None:
    async def job(sc: SparkContext) -> Any:
        rdd, computed = counted(sc, tmp_path)
        base = rdd.reduce_by_key(add, 3)
        shifted = base.map(lambda pair: (pair[0] % 2, pair[1]))
        sums = shifted.reduce_by_key(add, 2)
        before = sorted(await sums.collect())
        base.checkpoint()
        await base.count()
        done = computed.value
        gc.collect()  # the shuffle above goes with its last reference
        sc.driver.map_outputs.unregister_all(shuffle_of(sums.node).shuffle_id)
        return before == sorted(await sums.collect()) == [(0, 44), (1, 22)], computed.value - done

    assert run_inline(job) == (True, 0)


def test_a_job_that_runs_while_the_lineage_is_cut_ends_well(tmp_path: Path) -> None:
    async def job(sc: SparkContext) -> Any:
        rdd, _ = counted(sc, tmp_path)
        base = rdd.reduce_by_key(add, 3).map_values(str)
        base.checkpoint()
        many = [base.map(repr).repartition(2).count() for _ in range(5)]
        del rdd
        found = await asyncio.gather(base.count(), *many)
        gc.collect()
        return found, await base.count()

    assert run_inline(job) == ([3] * 6, 3)


@LOCAL_CHECKPOINT
def test_a_local_checkpoint_is_computed_once_and_cut(tmp_path: Path) -> None:
    async def job(sc: SparkContext) -> Any:
        rdd, computed = counted(sc, tmp_path)
        rdd.local_checkpoint()
        first = await rdd.take(1)
        kept = rdd.is_checkpointed, rdd.get_checkpoint_file(), rdd.node.dependencies, rdd.storage_level
        return first, kept, await rdd.reduce_by_key(add).count(), computed.value, os.listdir(tmp_path)

    kept = (True, None, (), StorageLevel.MEMORY_AND_DISK)
    assert run_inline(job) == ([(0, 0)], kept, 3, 12, [])


@LOCAL_CHECKPOINT
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("level", [StorageLevel.MEMORY_ONLY, StorageLevel.MEMORY_AND_DISK, None])
def test_a_local_checkpoint_is_kept_on_disk_whether_persisted_before_or_after(
    is_first: bool, level: StorageLevel | None
) -> None:
    async def job(sc: SparkContext) -> Any:
        rdd = sc.parallelize(range(1, 101), 4).map(lambda n: n + 1).filter(lambda n: n % 2 == 0)
        for step in ("mark", "persist") if is_first else ("persist", "mark"):
            if step == "mark":
                rdd.local_checkpoint()
            elif level is not None:
                rdd.persist(level)
        found = [await rdd.collect() for _ in range(3)]
        (kept,) = sc.storage_status()
        return found, rdd.storage_level, kept.num_cached, rdd.node.dependencies

    assert run_inline(job) == ([list(range(2, 101, 2))] * 3, StorageLevel.MEMORY_AND_DISK, 4, ())


@LOCAL_CHECKPOINT
def test_only_the_marked_rdd_is_kept_and_cut_by_an_action_of_another() -> None:
    async def job(sc: SparkContext) -> Any:
        rdd = sc.parallelize(range(10), 2).map(str).local_checkpoint()
        below: list[RDD[Any]] = [rdd.map(len)]
        below.append(below[0].map(str))
        links = [child.node.dependencies for child in below]
        found = [await below[1].collect() for _ in range(2)]
        assert [child.node.dependencies for child in below] == links
        return found, rdd.node.dependencies, [child.storage_level for child in below]

    assert run_inline(job) == ([["1"] * 10] * 2, (), [StorageLevel.NONE] * 2)


@LOCAL_CHECKPOINT
def test_partitions_that_the_action_left_out_are_kept_too() -> None:
    async def job(sc: SparkContext) -> Any:
        computed = sc.accumulator(0)

        def count(number: int) -> int:
            computed.add(1)
            return number

        rdd = sc.parallelize(range(100), 4).map(count).sort_by(lambda n: -n, num_partitions=4).local_checkpoint()
        first = await rdd.first()
        done = computed.value
        far = rdd.repartition(3).repartition(20)
        counts = [await rdd.count(), await far.count(), len(await far.take(1))]
        return first, await rdd.first(), counts, computed.value - done, rdd.is_checkpointed

    assert run_inline(job) == (99, 99, [100, 100, 1], 0, True)


def test_a_local_checkpoint_takes_the_place_of_a_mark_but_not_of_files(tmp_path: Path) -> None:
    async def job(sc: SparkContext) -> Any:
        marked, written = counted(sc, tmp_path)[0].checkpoint(), counted(sc, tmp_path)[0].checkpoint()
        marked.local_checkpoint().checkpoint()
        await marked.count()
        await marked.local_checkpoint().count()
        await written.count()
        written.local_checkpoint()
        await written.count()
        return marked.is_locally_checkpointed, written.is_locally_checkpointed, written.get_checkpoint_file() is None

    assert run_inline(job) == (True, False, False)


def test_a_directory_that_cannot_be_made_is_told_before_anything_is_computed(tmp_path: Path) -> None:
    async def job(sc: SparkContext) -> Any:
        rdd, computed = counted(sc, tmp_path / "file" / "x")
        (tmp_path / "file").write_text("not a directory")
        rdd.checkpoint()
        with pytest.raises(StorageError, match=r"cannot be written to .*set_checkpoint_dir"):
            await rdd.count()
        assert (computed.value, rdd.is_checkpointed) == (0, False)
        (tmp_path / "file").unlink()
        return await rdd.count(), rdd.is_checkpointed

    assert run_inline(job) == (12, True)


def test_a_server_that_cannot_be_reached_is_told_before_anything_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    def down(self: object, path: str, exist_ok: bool) -> None:
        raise RuntimeError("no route to host")

    async def job(sc: SparkContext) -> Any:
        rdd, computed = counted(sc, "memory://unreachable")
        with monkeypatch.context() as patch:
            patch.setattr(MemoryFileSystem, "makedirs", down)
            with pytest.raises(
                StorageError, match=r"cannot be written to 'memory://.*RuntimeError: no route to host"
            ):
                await rdd.checkpoint().count()
        return computed.value, await rdd.count(), rdd.is_checkpointed

    assert run_inline(job) == (0, 12, True)


def test_a_url_that_nobody_reads_is_refused_at_once() -> None:
    async def job(sc: SparkContext) -> str | None:
        with pytest.raises(ConfigurationError, match="there is no file system for nope"):
            sc.set_checkpoint_dir("nope://bucket/x")
        return sc.get_checkpoint_dir()

    assert run_inline(job) is None


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("scheme", ["memory", "local", "file"])
def test_files_may_be_on_any_file_system(tmp_path: Path, scheme: str, clean: bool) -> None:
    async def job(sc: SparkContext) -> Any:
        rdd, computed = counted(sc, f"{scheme}://{tmp_path}")
        sums = rdd.reduce_by_key(add, 2).checkpoint()
        before = sorted(await sums.collect())
        path, done = sums.get_checkpoint_file() or "", computed.value
        assert names_in(path) == {"_SUCCESS", "part-00000", "part-00001"}
        assert (sorted(await sums.collect()), computed.value) == (before, done)
        del sums
        gc.collect()
        for _ in range(3):
            await sc.parallelize([1]).count()
        return before, names_in(path) == set()

    expected = [(0, 18), (1, 22), (2, 26)]
    assert run_inline(job, cleaner_referenceTracking_cleanCheckpoints=clean) == (expected, clean)


@pytest.mark.cluster
def test_runner_processes_write_and_read_files_of_other_file_systems(tmp_path: Path) -> None:
    async def job() -> Any:
        async with SparkContext("local[2]") as sc:
            rdd, computed = counted(sc, f"local://{tmp_path}")
            sums = rdd.reduce_by_key(add, 2).checkpoint()
            before = sorted(await sums.collect())
            done = computed.value
            return before, sorted(await sums.collect()) == before, computed.value - done

    assert asyncio.run(job()) == ([(0, 18), (1, 22), (2, 26)], True, 0)
    assert len(list(tmp_path.rglob("part-*"))) == 2
    assert not list(tmp_path.rglob("_temporary*"))


@pytest.mark.cluster
def test_memory_of_one_process_is_no_place_for_the_files_of_others() -> None:
    async def job() -> bool:
        async with SparkContext("local[2]") as sc:
            rdd, _ = counted(sc, "memory://of-the-driver")
            with pytest.raises(StorageError, match="the driver and all executors see"):
                await rdd.checkpoint().count()
            return rdd.is_checkpointed

    assert asyncio.run(job()) is False


def remove(directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    return directory


def test_a_directory_that_tasks_do_not_see_is_told(tmp_path: Path) -> None:
    async def job(sc: SparkContext) -> bool:
        rdd, _ = counted(sc, tmp_path)
        gone = rdd.map_partitions(lambda records: [remove(tmp_path)]).checkpoint()
        with pytest.raises(StorageError, match="the driver and all executors see"):
            await gone.count()
        return gone.is_checkpointed

    assert not run_inline(job, task_maxFailures=1)
    with pytest.raises(FileNotFoundError, match="part-00000, and it is not there"):
        check_parts(str(tmp_path), 1)


def test_a_cancelled_job_leaves_the_rdd_marked_and_nothing_behind(tmp_path: Path) -> None:
    async def job(sc: SparkContext) -> Any:
        rdd, _ = counted(sc, tmp_path)
        rdd.checkpoint()
        await sc.parallelize([1]).count()

        class Canceller:
            jobs = 0

            def on_event(self, event: Any) -> None:
                if type(event).__name__ == "JobStart":
                    self.jobs += 1
                    if self.jobs == 2:
                        sc.cancel_all_jobs("enough")

        canceller = Canceller()
        sc.add_listener(canceller)
        with pytest.raises(JobCancelled):
            await rdd.count()
        sc.remove_listener(canceller)
        left = [name for directory in tmp_path.iterdir() for name in os.listdir(directory)]
        return rdd.is_checkpointed, left, await rdd.count(), rdd.is_checkpointed

    assert run_inline(job) == (False, [], 12, True)


@pytest.mark.parametrize("clean", [True, False])
def test_files_go_with_their_rdd_if_that_is_set(tmp_path: Path, clean: bool) -> None:
    async def job(sc: SparkContext) -> Any:
        rdd, _ = counted(sc, tmp_path)
        child = rdd.checkpoint().map(repr)
        await rdd.count()
        path = rdd.get_checkpoint_file() or ""
        del rdd
        gc.collect()
        assert await child.count() == 12
        del child
        gc.collect()
        for _ in range(3):
            await sc.parallelize([1]).count()
        return os.path.exists(path)

    assert run_inline(job, cleaner_referenceTracking_cleanCheckpoints=clean) is not clean


@pytest.mark.scenario("DAG-082", "23207: local checkpoint does not help (before/now)")
@pytest.mark.scenario("DAG-082", "reliable checkpoint done before avoids the rollback")
@pytest.mark.scenario("DAG-082", '"checkpointing now" still fails')
@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("done", [True, False])
def test_only_files_that_are_written_save_a_job_from_a_rollback(tmp_path: Path, local: bool, done: bool) -> None:
    async def job(sc: SparkContext) -> Any:
        rdd, _ = counted(sc, tmp_path)
        drawn = rdd.declare_indeterminate()
        marked = drawn.local_checkpoint() if local else drawn.checkpoint()
        if done:
            await marked.count()
        return describe(marked.reduce_by_key(add, 2).node, sc.driver.work.of_dependency)

    lineage = run_inline(job)
    with dag() as harness:
        harness.submit(JobSubmitted(JobId(1), lineage, pack_integers(range(2)), 7, "job", "here", {}))  # type: ignore[arg-type]  # an id
        harness.end_all_maps(harness.last)
        harness.end(harness.last, 0, result_success())
        shuffle_id = lineage.nodes[-1].dependencies[0].shuffle_id
        harness.end(harness.last, 1, fetch_failed(shuffle_id, 0, only_this=True))
        harness.resubmit()
        if local or not done:
            assert "has given 1 of 2 results already" in harness.failed()[1]
        else:
            assert harness.partitions(harness.last) == [0]
            harness.end_all_maps(harness.last)
            harness.end(harness.last, 0, result_success())
            assert harness.succeeded() == [1]
