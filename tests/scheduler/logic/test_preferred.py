from collections.abc import Sequence

import pytest

from minispark.ids import RddId, ShuffleId
from minispark.messages.scheduler import pack_integers, unpack_integers
from minispark.messages.task import NarrowDependency, Preferences
from minispark.scheduler.logic.cached import CachedRdds
from minispark.scheduler.logic.lineage import CutLineage
from minispark.scheduler.logic.preferred import PreferredLocations, StagePreferences
from minispark.testing.builders import LineageBuilder
from tests.scheduler.logic.test_cached import Blocks


class Outputs:
    """Sizes of map outputs by host: reducer → host → bytes."""

    def __init__(self, *reducers: dict[str, int]) -> None:
        self.reducers = reducers
        self.asked: list[int] = []

    def locations_with_largest_outputs(self, shuffle_id: ShuffleId, reducer: int, fraction: float) -> Sequence[str]:
        self.asked.append(reducer)
        sizes = self.reducers[reducer] if reducer < len(self.reducers) else {}
        return [host for host, size in sizes.items() if size >= fraction * sum(sizes.values())]


def stage(
    build: LineageBuilder, kept: dict[int, Sequence[Sequence[str]]] | None = None, outputs: Outputs | None = None
) -> StagePreferences | None:
    lineage = CutLineage(build.lineage())
    cached = CachedRdds(Blocks(kept or {}), lambda text: None)
    return PreferredLocations(cached, outputs or Outputs(), True).of_stage(lineage, lineage.last.rdd_id)


def rows(preferences: Preferences) -> list[list[str]]:
    starts, places = unpack_integers(preferences.starts), unpack_integers(preferences.places)
    hosts = [place.host for place in preferences.locations]
    return [[hosts[k] for k in places[starts[i] : starts[i + 1]]] for i in range(len(starts) - 1)]


def preferred(
    build: LineageBuilder,
    kept: dict[int, Sequence[Sequence[str]]] | None = None,
    outputs: Outputs | None = None,
    partitions: Sequence[int] | None = None,
) -> list[list[str]]:
    found = stage(build, kept, outputs)
    assert found is not None
    return rows(found.of(range(build.nodes[-1].num_partitions) if partitions is None else partitions))


def test_an_rdd_prefers_what_it_says_and_its_children_the_same() -> None:
    build = LineageBuilder()
    build.narrow(build.narrow(build.source(3, [["a", "b"], [], ["c"]])))
    assert preferred(build) == [["a", "b"], [], ["c"]]
    assert preferred(build, partitions=[2, 0]) == [["c"], ["a", "b"]]


def test_a_stage_in_which_nothing_can_be_preferred_costs_nothing() -> None:
    build = LineageBuilder()
    build.narrow(build.source(3))
    assert stage(build) is None


@pytest.mark.scenario("DAG-004")
def test_where_a_parent_is_cached_comes_before_what_it_says_itself() -> None:
    build = LineageBuilder()
    build.narrow(build.source(3, [["a"], ["a"], ["a"]], is_cached=True))
    assert preferred(build, {0: [["x"], [], ["y", "z"]]}) == [["x"], ["a"], ["y", "z"]]


def test_the_nearest_rdd_that_prefers_something_decides() -> None:
    build = LineageBuilder()
    build.add(2, [NarrowDependency(RddId(build.source(2, [["far"], ["far"]])))], [["near"], []])
    build.narrow(1)
    assert preferred(build) == [["near"], ["far"]]


def test_partitions_are_followed_through_unions_and_coalesced_rdds() -> None:
    build = LineageBuilder()
    left, right = build.source(2, [["a"], ["b"]]), build.source(2, [["c"], ["d"]])
    union = build.add(4, [NarrowDependency(RddId(left)), NarrowDependency(RddId(right), shift=2)])
    assert preferred(build) == [["a"], ["b"], ["c"], ["d"]]
    joined = NarrowDependency(RddId(union), pack_integers([0, 3, 4]), pack_integers([2, 1, 0, 3]))
    build.add(2, [joined])
    assert preferred(build) == [["c"], ["d"]]


def test_the_first_parent_with_a_preference_decides() -> None:
    build = LineageBuilder()
    first, second = build.source(2, [[], ["a"]]), build.source(2, [["b"], ["b"]])
    build.narrow(first, second)
    assert preferred(build) == [["b"], ["a"]]


@pytest.mark.scenario("DAG-007")
def test_a_deep_diamond_is_looked_through_once_a_partition() -> None:
    build = LineageBuilder()
    build.shuffled(build.source(1), 1)
    for depth in range(200):  # 2 ** 200 paths
        build.narrow(depth + 1, depth + 1)
    outputs = Outputs()
    assert preferred(build, outputs=outputs) == []
    assert outputs.asked == [0]


@pytest.mark.scenario("DAG-008")
@pytest.mark.scenario("DAG-009")
def test_a_reducer_prefers_the_hosts_with_a_fifth_of_its_data_and_no_others() -> None:
    build = LineageBuilder()
    build.narrow(build.shuffled(build.source(2), 2))
    outputs = Outputs({"a": 50, "b": 31, "c": 19}, {"c": 1})
    assert preferred(build, outputs=outputs) == [["a", "b"], ["c"]]


@pytest.mark.scenario("DAG-010")
def test_an_rdd_with_a_narrow_parent_goes_where_that_is_and_not_after_its_shuffle() -> None:
    build = LineageBuilder()
    placed, far = build.source(2, [["a"], ["b"]]), build.source(2)
    build.add(2, [build.shuffle_of(far, 2), NarrowDependency(RddId(placed))])
    assert preferred(build, outputs=Outputs({"x": 1}, {"x": 1})) == [["a"], ["b"]]


def test_reducers_that_read_several_partitions_of_a_shuffle_prefer_nothing() -> None:
    build = LineageBuilder()
    build.add(1, [build.shuffle_of(build.source(2), 2)])
    assert stage(build, outputs=Outputs({"a": 1})) is None


@pytest.mark.scenario("MOT-004", "42719 config respected")
def test_without_reduce_locality_a_reducer_prefers_nothing() -> None:
    build = LineageBuilder()
    build.shuffled(build.source(2), 2)
    cached = CachedRdds(Blocks({}), lambda text: None)
    found = PreferredLocations(cached, Outputs({"a": 1}), False).of_stage(CutLineage(build.lineage()), RddId(1))
    assert found is None


def test_a_lineage_of_thousands_of_rdds_is_walked_without_recursion() -> None:
    build = LineageBuilder()
    build.source(2, [["a"], []])
    for depth in range(3000):
        build.narrow(depth, partitions=2)
    assert preferred(build) == [["a"], []]


def test_a_union_has_more_partitions_than_the_first_of_its_parts_prefers_places_for() -> None:
    build = LineageBuilder()
    reduced, source = build.shuffled(build.source(2), 1), build.source(2)
    dependencies = [NarrowDependency(RddId(reduced)), NarrowDependency(RddId(source), shift=1)]
    build.narrow(build.add(3, dependencies))
    outputs = Outputs({"a": 10})
    assert preferred(build, outputs=outputs) == [["a"], [], []]
    assert outputs.asked == [0]
