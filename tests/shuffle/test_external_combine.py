"""Combining what does not fit: exactly what plain Python gives, whatever spills when."""

import io
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from operator import add
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minispark.rdd.aggregator import Aggregator, CoGroupAggregator, FirstAggregator, ListAggregator, ReduceAggregator
from minispark.rdd.partitioner import HashPartitioner
from minispark.shuffle.external_combine import Buckets, combine_records, gather, held_bytes
from minispark.shuffle.external_lists import DiskList
from minispark.shuffle.pairs import Compression, load_pairs, read_frames
from minispark.shuffle.partitioned_pairs import PartitionedPairs
from tests.shuffle.outputs import session, task_memory

ADD: ReduceAggregator[Any] = ReduceAggregator(add)
LISTS: ListAggregator[Any] = ListAggregator()

key = st.one_of(
    st.none(), st.integers(-3, 3), st.text(max_size=2), st.tuples(st.integers(0, 2)), st.just((1 << 61) - 1)
)
pairs = st.lists(st.tuples(key, st.integers()), max_size=60)
anywhere = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Colliding:
    """A key whose hash is that of all its kind."""

    def __init__(self, number: int, hashed: int = 7) -> None:
        self.number = number
        self.hashed = hashed

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Colliding) and self.number == other.number

    def __hash__(self) -> int:
        return self.hashed


@pytest.fixture
def memory(tmp_path: Path) -> Callable[..., Any]:
    return partial(task_memory, session(tmp_path))


def plain_lists(records: list[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    groups = defaultdict(list)
    for one, value in records:
        groups[one].append(value)
    return groups


def grouped(memory: Any, records: Any) -> dict[Any, list[Any]]:
    combined = combine_records(memory, LISTS, [(LISTS.combine_values, records)])
    return {one: list(values) for one, values in combined}


@pytest.mark.scenario("EXT-001", "null keys/values")
@pytest.mark.scenario("EXT-001", "aggregator")
@pytest.mark.scenario("EXT-002", "null keys while spilling")
@pytest.mark.scenario("EXT-003", "forced spill")
@given(records=pairs, force=st.integers(1, 20))
@anywhere
def test_sums_and_lists_are_those_of_plain_python_however_often_they_spill(
    memory: Callable[..., Any], records: list[tuple[Any, int]], force: int
) -> None:
    groups = plain_lists(records)
    share = memory(force_records=force)

    sums = list(combine_records(share, ADD, [(ADD.combine_values, records)]))

    assert len(sums) == len(groups)
    assert dict(sums) == {one: sum(values) for one, values in groups.items()}
    assert grouped(memory(force_records=force), records) == groups
    assert (share.metrics.spilled_bytes > 0) == (len(records) > force)


@pytest.mark.scenario("EXT-002", "spilling (with each compression codec)")
def test_what_spills_is_the_same_with_and_without_compression_and_smaller_with_it(memory: Callable[..., Any]) -> None:
    records = [(n % 7, "a value that says little " * 20) for n in range(700)]
    packed, plain = memory(force_records=70, compress=True), memory(force_records=70, compress=False)

    assert grouped(packed, records) == grouped(plain, records) == plain_lists(records)
    assert 0 < 5 * packed.metrics.spilled_bytes < plain.metrics.spilled_bytes


@pytest.mark.scenario("EXT-001", "cogroup")
@given(left=pairs, right=pairs, force=st.integers(1, 20))
@anywhere
def test_a_cogroup_that_spills_has_each_parents_values_in_their_order(
    memory: Callable[..., Any], left: list[tuple[Any, int]], right: list[tuple[Any, int]], force: int
) -> None:
    aggregator = CoGroupAggregator(2)
    sources = [(partial(aggregator.combine_parent, place), side) for place, side in enumerate((left, right))]

    found = list(combine_records(memory(force_records=force), aggregator, sources))

    lefts, rights = plain_lists(left), plain_lists(right)
    assert len(found) == len(lefts.keys() | rights.keys())
    for one, (mine, theirs) in found:
        assert (list(mine), list(theirs)) == (lefts.get(one, []), rights.get(one, []))


@given(records=pairs, force=st.integers(1, 20))
@anywhere
def test_a_map_output_that_is_emptied_on_the_way_combines_to_the_same(
    memory: Callable[..., Any], records: list[tuple[Any, int]], force: int
) -> None:
    output = PartitionedPairs(HashPartitioner(1), Compression(False))

    gather(memory(force_records=force), LISTS, records, output)

    data = b"".join(output.take(0))
    combined: dict[Any, list[int]] = {}
    for batch in read_frames(io.BytesIO(data), len(data)):
        LISTS.combine_combiners(zip(*load_pairs(batch), strict=True), combined)
    assert combined == plain_lists(records)


def test_of_a_dict_that_is_emptied_nothing_stays_gathered(memory: Callable[..., Any]) -> None:
    output = PartitionedPairs(HashPartitioner(1), Compression(False))
    gathered = []

    def records() -> Iterator[tuple[int, int]]:
        for number in range(30):
            gathered.append(output.gathered)
            yield number, number

    gather(memory(force_records=10), LISTS, records(), output)

    assert (output.records, set(gathered)) == (30, {0})


@pytest.mark.scenario("EXT-001", "single/multiple insert")
@pytest.mark.scenario("EXT-001", "ordering")
def test_what_fits_comes_in_the_order_of_the_first_of_each_key(memory: Callable[..., Any]) -> None:
    assert list(combine_records(memory(), ADD, [(ADD.combine_values, [("b", 1)])])) == [("b", 1)]
    many = [("b", 1), ("a", 2), ("b", 3), ("c", None)]
    assert list(combine_records(memory(), FirstAggregator(), [(FirstAggregator().combine_values, many)])) == [
        ("b", 3), ("a", 2), ("c", None),
    ]  # fmt: skip


@pytest.mark.scenario("EXT-001", "collisions")
@pytest.mark.scenario("EXT-002", "hash collisions on spill, many collisions, max-int hash key")
@pytest.mark.parametrize("hashed", [7, (1 << 31) - 1, (1 << 61) - 2])
def test_keys_of_one_hash_stay_apart_when_they_spill(memory: Callable[..., Any], hashed: int) -> None:
    records = [(Colliding(number % 50, hashed), number) for number in range(300)]

    found = combine_records(memory(force_records=20), ADD, [(ADD.combine_values, iter(records))])

    assert {one.number: total for one, total in found} == {n: sum(range(n, 300, 50)) for n in range(50)}


@pytest.mark.scenario("EXT-002", "spill before iterator read")
@pytest.mark.parametrize("compress", [True, False])
def test_accounted_bytes_make_a_reader_spill_before_its_first_pair(
    memory: Callable[..., Any], compress: bool
) -> None:
    share = memory(share_bytes=200_000, compress=compress)

    found = combine_records(share, ADD, [(ADD.combine_values, ((n, n) for n in range(20_000)))])
    first = next(found)

    assert share.metrics.spilled_bytes > 20_000
    assert sorted([first, *found]) == [(n, n) for n in range(20_000)]


def test_a_group_larger_than_memory_is_read_from_disk_again_and_again(memory: Callable[..., Any]) -> None:
    share = memory(share_bytes=200_000)
    records = [("large" if number % 10 else number, number) for number in range(50_000)]

    groups = dict(combine_records(share, LISTS, [(LISTS.combine_values, iter(records))]))

    large: Any = groups.pop("large")
    expected = [number for number in range(50_000) if number % 10]
    assert isinstance(large, DiskList)
    assert len(large) == len(expected)
    assert len(large.rest) < 20_000
    assert list(large) == list(large) == expected
    assert groups == {number: [number] for number in range(0, 50_000, 10)}


@pytest.mark.scenario("EXT-003", "22713: spill during iteration frees the map")
def test_what_waits_to_be_read_is_spilled_when_another_container_needs_the_memory(
    memory: Callable[..., Any],
) -> None:
    share = memory(share_bytes=4_000_000)
    waiting = combine_records(share, ADD, [(ADD.combine_values, ((n, n) for n in range(20_000)))])
    taken = [next(waiting) for _ in range(10)]
    assert share.metrics.spilled_bytes == 0

    asking = share.open()
    assert not share.must_spill(asking, 3_000_000)

    assert share.metrics.spilled_bytes > 0
    assert [account.size_bytes for account in share.accounts if account is not asking] == [0]
    assert taken + list(waiting) == [(n, n) for n in range(20_000)]


class Tracked:
    """A value that says when it is gone."""

    alive: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        self.alive["now"] += 1

    def __del__(self) -> None:
        self.alive["now"] -= 1


@pytest.mark.scenario("EXT-003", "references dropped when exhausted")
def test_nothing_is_held_once_all_was_read(memory: Callable[..., Any]) -> None:
    share = memory()
    found = combine_records(share, FirstAggregator(), [(FirstAggregator().combine_values, tracked())])

    assert next(found) is not None
    assert Tracked.alive["now"] == 100
    for _ in found:
        pass

    del _
    assert Tracked.alive["now"] == 0
    assert share.accounts == []


def tracked() -> Iterator[tuple[int, Tracked]]:
    for number in range(100):
        yield number, Tracked()


def test_what_a_dict_holds_is_estimated_by_its_keys_values_and_the_items_of_its_lists() -> None:
    numbers = {number: number + 1000 for number in range(10_000)}
    lists = {number: [str(n) for n in range(1000)] for number in range(10)}
    sets: Aggregator[Any, Any] = Aggregator(lambda value: {value}, add, add)

    assert 700_000 < held_bytes(numbers, ADD) < 1_200_000
    assert 500_000 < held_bytes(lists, LISTS) < 900_000
    assert held_bytes({1: set(range(5000))}, sets) > 200_000
    assert held_bytes({}, ADD) == 0


def test_buckets_of_one_level_are_divided_by_the_next(memory: Callable[..., Any]) -> None:
    first, second = (Buckets(memory(), level).partitioner for level in (0, 1))
    keys = range(0, 32_000, 32)  # all of one reducer of 32

    places = Counter(zip(first.assign(keys), second.assign(keys), strict=True))

    assert max(places.values()) < 12
    assert max(Counter(first.assign(keys)).values()) < 70
