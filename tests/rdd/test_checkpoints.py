"""What a checkpoint makes of a node, and what its descendants see of it."""

import gc
import operator
import os
import pickle
import weakref
from pathlib import Path
from typing import Any

import pytest

from minispark.context import SparkContext
from minispark.errors import ConfigurationError, InputDamaged, InputNotFound, StorageError
from minispark.ids import BinaryId
from minispark.messages.storage_level import StorageLevel
from minispark.rdd import closures
from minispark.rdd.checkpoints import CheckpointedNode, LocallyCheckpointedNode, cut, marked_above
from minispark.rdd.lineage import describe
from minispark.rdd.sources import parallelize, range_rdd
from minispark.testing.serial import SerialJobRunner
from tests.contexts import run_inline


def described(rdd: Any) -> Any:
    return describe(rdd.node, lambda dependency: BinaryId(100 + dependency.shuffle_id))


def test_a_node_that_is_cut_is_a_source_with_its_name_and_partitioner() -> None:
    pairs = range_rdd(SerialJobRunner(), 4, num_slices=2).map(lambda n: (n, n)).reduce_by_key(operator.add, 3)
    partitioner, parents = pairs.partitioner, pairs.node.dependencies
    assert cut(pairs.node, "/ck", "unordered") == parents
    assert (pairs.node.dependencies, pairs.node.name, pairs.get_num_partitions()) == ((), "reduce_by_key", 3)
    assert pairs.partitioner is partitioner
    (described_node,) = described(pairs).nodes
    assert described_node.determinism == "determinate"


def test_descendants_that_were_described_before_are_described_anew() -> None:
    base = range_rdd(SerialJobRunner(), 4, num_slices=2).declare_indeterminate()
    child = base.map(str).union(base.map(repr))
    assert {node.determinism for node in described(child).nodes[1:]} == {"indeterminate"}
    cut(base.node, "/ck", "indeterminate")
    assert [node.determinism for node in described(child).nodes] == ["determinate"] * 4


@pytest.mark.parametrize("level", ["determinate", "unordered", "indeterminate"])
def test_a_local_checkpoint_stays_as_indeterminate_as_it_was(level: Any) -> None:
    base = range_rdd(SerialJobRunner(), 4, num_slices=2).map(str)
    cut(base.node, None, level)
    assert [node.determinism for node in described(base).nodes] == [level]


def test_what_a_checkpointed_rdd_was_made_of_is_let_go() -> None:
    rdd = parallelize(SerialJobRunner(), range(10), 2).map(str).filter(bool)
    child = rdd.map(len)
    child.get_num_partitions()
    parents = [weakref.ref(rdd.node.dependencies[0].node)]
    cut(rdd.node, "/ck", "determinate")
    gc.collect()
    assert parents[0]() is None
    assert child.get_num_partitions() == 2


def test_a_stage_below_a_checkpoint_is_pickled_without_what_was_above() -> None:
    ballast = "y" * 10_000
    big = parallelize(SerialJobRunner(), ["x" * 1000] * 50, 2).map(lambda text: text or ballast)
    child = big.map(len)
    before = len(closures.dumps(child.node))
    cut(big.node, "/ck", "determinate")
    restored = pickle.loads(pickle.dumps(child.filter(bool).node))
    assert isinstance(restored.dependencies[0].node.dependencies[0].node, CheckpointedNode)
    assert len(closures.dumps(child.node)) < before / 10


def test_only_the_nearest_marked_rdds_are_kept_after_a_job(tmp_path: Path) -> None:
    async def job(sc: SparkContext) -> Any:
        sc.set_checkpoint_dir(tmp_path)
        first = sc.parallelize([1, 2], 2).map(str).checkpoint()
        second = first.map(str).checkpoint()
        other = first.map(len).checkpoint()
        found = marked_above(second.union(other).map(str).node)
        return [node is rdd.node for node, rdd in zip(found, [second, other], strict=True)]

    assert run_inline(job) == [True, True]


def test_marking_needs_a_directory_and_starts_nothing(tmp_path: Path) -> None:
    async def job(sc: SparkContext) -> Any:
        rdd = sc.parallelize([1])
        with pytest.raises(ConfigurationError, match="set_checkpoint_dir"):
            rdd.checkpoint()
        sc.set_checkpoint_dir(tmp_path / "deep" / "er")
        assert rdd.checkpoint() is rdd
        return rdd.is_checkpointed, rdd.get_checkpoint_file(), rdd.is_locally_checkpointed, list(tmp_path.iterdir())

    assert run_inline(job) == (False, None, False, [])


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (None, StorageLevel.MEMORY_AND_DISK),
        (StorageLevel.MEMORY_ONLY, StorageLevel.MEMORY_AND_DISK),
        (StorageLevel.MEMORY_ONLY_SER_2, StorageLevel.MEMORY_AND_DISK_SER_2),
        (StorageLevel.DISK_ONLY, StorageLevel.DISK_ONLY),
    ],
)
def test_a_local_checkpoint_is_kept_on_disk_as_well(level: StorageLevel | None, expected: StorageLevel) -> None:
    async def job(sc: SparkContext) -> Any:
        rdd = sc.parallelize([1, 2], 2)
        if level is not None:
            rdd.persist(level)
        rdd.local_checkpoint()
        return rdd.storage_level, rdd.is_locally_checkpointed, rdd.is_checkpointed

    assert run_inline(job) == (expected, True, False)


def test_files_that_are_gone_or_damaged_are_named(tmp_path: Path) -> None:
    async def job(sc: SparkContext) -> None:
        sc.set_checkpoint_dir(tmp_path)
        rdd = sc.parallelize(range(100), 2).map(str).checkpoint()
        await rdd.count()
        directory = Path(rdd.get_checkpoint_file() or "")
        assert os.path.dirname(directory) == sc.get_checkpoint_dir()
        (directory / "part-00001").write_bytes((directory / "part-00001").read_bytes()[:-3])
        with pytest.raises(InputDamaged, match="part-00001"):
            await rdd.count()
        (directory / "part-00001").unlink()
        with pytest.raises(InputNotFound, match="partition 1 of the checkpoint of map"):
            await rdd.map(len).count()

    assert run_inline(job) is None


def test_a_local_checkpoint_whose_blocks_are_gone_cannot_be_computed() -> None:
    async def job(sc: SparkContext) -> None:
        rdd = sc.parallelize(range(10), 2).map(str).local_checkpoint()
        await rdd.count()
        assert isinstance(rdd.node, LocallyCheckpointedNode)
        rdd.unpersist()
        with pytest.raises(StorageError, match="is a local checkpoint, so it cannot be computed again"):
            await rdd.map(len).count()

    assert run_inline(job) is None
