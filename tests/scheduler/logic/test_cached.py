from collections.abc import Sequence

import pytest

from minispark.errors import RpcTimeout
from minispark.ids import RddId
from minispark.messages.task import TaskLocation
from minispark.scheduler.logic.cached import NOTHING_CACHED, CachedRdds, Rows
from minispark.scheduler.logic.lineage import CutLineage
from minispark.testing.builders import LineageBuilder


class Blocks:
    """A table of blocks that counts how often it is asked."""

    def __init__(self, kept: dict[int, Sequence[Sequence[str]]] | None = None) -> None:
        self.kept = kept
        self.asked: list[int] = []

    def locations(self, rdd_id: RddId) -> Rows | None:
        self.asked.append(rdd_id)
        if self.kept is None:
            raise RpcTimeout("the master of blocks is silent")
        rows = self.kept.get(rdd_id)
        return None if rows is None else [[TaskLocation(host) for host in row] for row in rows]


def cached_after_shuffle() -> LineageBuilder:
    """Make RDD 0 → shuffle 0 → RDD 1 (cached) → RDD 2."""
    build = LineageBuilder()
    source = build.source(2)
    build.narrow(build.add(2, [build.shuffle_of(source, 2)], is_cached=True))
    return build


def needed(blocks: Blocks, build: LineageBuilder) -> list[int]:
    lineage = CutLineage(build.lineage())
    return list(CachedRdds(blocks, lambda text: None).shuffles_needed(lineage, lineage.last.rdd_id))


@pytest.mark.scenario("DAG-006")
def test_a_shuffle_above_an_ancestor_that_is_cached_in_full_is_not_needed() -> None:
    build = cached_after_shuffle()
    assert needed(Blocks({1: [["a"], ["b"]]}), build) == []
    assert needed(Blocks({1: [["a"], []]}), build) == [0]
    assert needed(Blocks({}), build) == [0]


def test_a_shuffle_that_another_branch_reads_is_needed_all_the_same() -> None:
    build = cached_after_shuffle()
    build.add(2, [build.shuffle_of(0, 2)])
    build.narrow(2, 3)
    assert needed(Blocks({1: [["a"], ["b"]]}), build) == [1]


def test_only_rdds_that_may_be_cached_are_asked_for() -> None:
    build = LineageBuilder()
    build.narrow(build.shuffled(build.source(1), 1))
    blocks = Blocks({})
    assert needed(blocks, build) == [0]
    assert blocks.asked == []


def test_the_table_is_asked_once_until_something_happens() -> None:
    lineage = CutLineage(cached_after_shuffle().lineage())
    blocks = Blocks({1: [["a"], ["b"]]})
    cached = CachedRdds(blocks, lambda text: None)
    for _ in range(3):
        assert cached.is_complete(lineage, RddId(1))
        assert not cached.is_complete(lineage, RddId(2))
    assert blocks.asked == [1]
    cached.clear()
    assert cached.rows(lineage, RddId(1)) is not None
    assert blocks.asked == [1, 1]


def test_a_table_that_cannot_be_asked_means_not_cached_and_a_warning() -> None:
    warnings: list[str] = []
    lineage = CutLineage(cached_after_shuffle().lineage())
    cached = CachedRdds(Blocks(None), warnings.append)
    assert list(cached.shuffles_needed(lineage, RddId(2))) == [0]
    assert cached.rows(lineage, RddId(1)) is None
    assert warnings == ["RDD 1 is taken as not cached: its blocks are not known: the master of blocks is silent"]


def test_a_driver_without_block_managers_knows_of_nothing() -> None:
    assert NOTHING_CACHED.locations(RddId(0)) is None
