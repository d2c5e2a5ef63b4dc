from dataclasses import replace

import pytest

from minispark.ids import RddId, ShuffleId
from minispark.scheduler.logic.lineage import CutLineage
from minispark.testing.builders import LineageBuilder


@pytest.mark.scenario("DAG-011")
def test_only_the_direct_shuffles_are_a_stages_parents() -> None:
    build = LineageBuilder()
    first = build.shuffled(build.source(2), 2)
    second = build.shuffled(build.narrow(first), 2)
    last = build.narrow(second)
    cut = CutLineage(build.lineage())
    assert cut.parents_of[RddId(last)] == (ShuffleId(1),)
    assert cut.parents_of[RddId(first)] == (ShuffleId(0),)


def test_a_diamond_lists_each_shuffle_once_and_parents_first() -> None:
    build = LineageBuilder()
    shared = build.shuffled(build.source(2), 2)
    left, right = build.narrow(shared), build.shuffled(shared, 2)
    last = build.narrow(left, right)
    cut = CutLineage(build.lineage())
    assert list(cut.shuffles) == [0, 1]
    assert cut.parents_of[RddId(last)] == (ShuffleId(0), ShuffleId(1))
    assert cut.last.rdd_id == last


def test_it_is_known_whether_anything_may_be_cached() -> None:
    build = LineageBuilder()
    build.narrow(build.source(2))
    assert not CutLineage(build.lineage()).has_cached
    build.nodes[0] = replace(build.nodes[0], is_cached=True)
    assert CutLineage(build.lineage()).has_cached
