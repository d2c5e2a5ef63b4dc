import operator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.errors import TaskKilled
from minispark.rdd.aggregator import Aggregator, ListAggregator, ReduceAggregator
from tests.shuffle.outputs import SHUFFLE, Exchange, dependency, session

ADD: ReduceAggregator[Any] = ReduceAggregator(operator.add)
WORDS = ["a b a c", "b a", "", "c c c"]


def pairs(text: str) -> list[tuple[str, int]]:
    return [(word, 1) for word in text.split()]


def flat(parts: list[list[tuple[Any, Any]]]) -> dict[Any, Any]:
    found = [pair for part in parts for pair in part]
    assert len(dict(found)) == len(found), "a key is in one partition only, once"
    return dict(found)


@pytest.mark.parametrize("combine_first", [True, False])
def test_words_are_counted(tmp_path: Path, combine_first: bool) -> None:
    exchange = Exchange(session(tmp_path / "s"), dependency(3, ADD, map_side_combine=combine_first))

    exchange.write_all(*map(pairs, WORDS))

    assert flat(exchange.read_all()) == {"a": 3, "b": 2, "c": 4}


def test_without_an_aggregator_pairs_pass_in_the_order_of_the_maps(tmp_path: Path) -> None:
    exchange = Exchange(session(tmp_path / "s"), dependency(1))

    exchange.write_all([("a", 1), ("b", 2)], [("a", 3)])

    assert exchange.read(0) == [("a", 1), ("b", 2), ("a", 3)]


@pytest.mark.scenario("SHF-001", "groupByKey without compression")
@pytest.mark.scenario("SHF-001", "different compression settings")
@pytest.mark.parametrize("compress", [True, False])
def test_values_are_grouped_with_and_without_compression(tmp_path: Path, compress: bool) -> None:
    exchange = Exchange(session(tmp_path / "s"), dependency(2, ListAggregator()), **{"shuffle.compress": compress})

    exchange.write_all([(number % 4, number) for number in range(5000)], [(0, -1)])

    groups = flat(exchange.read_all())
    assert groups[0] == [*range(0, 5000, 4), -1]
    assert groups[3] == list(range(3, 5000, 4))


@pytest.mark.scenario("SHF-001", "non-zero block sizes")
@pytest.mark.scenario("SHF-001", "zero-sized blocks")
def test_sizes_of_blocks_are_zero_only_where_nothing_is(tmp_path: Path) -> None:
    exchange = Exchange(session(tmp_path / "s"), dependency(100))

    exchange.write_all([(number, number) for number in range(4)])

    status = exchange.table.of(SHUFFLE).statuses[0]
    assert status is not None
    assert [reducer for reducer, code in enumerate(status.sizes) if code] == [0, 1, 2, 3]
    assert [part for part in exchange.read_all() if part] == [[(number, number)] for number in range(4)]


@pytest.mark.scenario("SHF-003")
@pytest.mark.parametrize(("aggregator", "written"), [(ADD, 2), (None, 5)])
def test_metrics_count_what_is_written_and_read(
    tmp_path: Path, aggregator: Aggregator[Any, Any] | None, written: int
) -> None:
    shuffle = dependency(1, aggregator, map_side_combine=aggregator is not None)
    exchange = Exchange(session(tmp_path / "s"), shuffle)

    exchange.write_all(pairs("a b a a b"))
    writing = exchange.attempt.metrics
    exchange.read(0)
    reading = exchange.attempt.metrics

    status = exchange.table.of(SHUFFLE).statuses[0]
    assert status is not None
    assert status.records == writing.shuffle_write_records == reading.shuffle_read_records == written
    assert status.total_bytes == writing.shuffle_write_bytes > reading.shuffle_read_bytes > 0


class Fahrenheit:
    """A temperature that travels as degrees Celsius."""

    travels = 0

    def __init__(self, degrees: float) -> None:
        self.degrees = degrees

    def __reduce__(self) -> tuple[Any, ...]:
        Fahrenheit.travels += 1
        return from_celsius, ((self.degrees - 32) / 1.8,)


def from_celsius(degrees: float) -> Fahrenheit:
    return Fahrenheit(degrees * 1.8 + 32)


@pytest.mark.scenario("SHF-001", "custom serializer")
def test_a_class_decides_how_its_records_travel(tmp_path: Path) -> None:
    exchange = Exchange(session(tmp_path / "s"), dependency(1))
    before = Fahrenheit.travels

    exchange.write_all([("boils", Fahrenheit(212.0)), ("freezes", Fahrenheit(32.0))])

    assert {key: round(value.degrees) for key, value in exchange.read(0)} == {"boils": 212, "freezes": 32}
    assert Fahrenheit.travels >= before + 2


def test_a_shuffle_of_no_maps_is_empty(tmp_path: Path) -> None:
    exchange = Exchange(session(tmp_path / "s"), dependency(2, ADD, map_side_combine=True))

    exchange.write_all()

    assert exchange.read_all() == [[], []]


def test_a_thousand_partitions_take_two_files(tmp_path: Path) -> None:
    exchange = Exchange(session(tmp_path / "s"), dependency(1000))

    exchange.write_all([(number, str(number)) for number in range(10_000)])

    assert len(exchange.files()) == 2
    assert exchange.read(999) == [(number, str(number)) for number in range(999, 10_000, 1000)]


@pytest.mark.scenario("SHF-004")
def test_attempts_of_one_map_do_not_collide_and_readers_see_one(tmp_path: Path) -> None:
    exchange = Exchange(session(tmp_path / "s"), dependency(1))
    exchange.table.register_shuffle(SHUFFLE, 1, 1)
    first = exchange.write(0, [("first", 1)], task_id=11)
    second = exchange.write(0, [("second", 2), ("second", 3)], task_id=12)

    exchange.table.register(SHUFFLE, first)
    exchange.table.register(SHUFFLE, second)

    assert exchange.read(0) == [("second", 2), ("second", 3)]
    assert len(exchange.files()) == 4


KEYS = st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2) | st.tuples(st.integers(0, 1))
MAPS = st.lists(st.lists(st.tuples(KEYS, st.integers(0, 9)), max_size=20), max_size=4)


@given(MAPS, st.integers(1, 5), st.booleans(), st.booleans())
def test_every_shuffle_sums_like_a_dict(
    tmp_path_factory: pytest.TempPathFactory, maps: Any, reducers: int, combine_first: bool, compress: bool
) -> None:
    shuffle = dependency(reducers, ADD, map_side_combine=combine_first)
    exchange = Exchange(session(tmp_path_factory.mktemp("s") / "s"), shuffle, **{"shuffle.compress": compress})
    exchange.write_all(*maps)

    expected: dict[Any, int] = {}
    for key, value in (pair for records in maps for pair in records):
        expected[key] = expected.get(key, 0) + value
    assert flat(exchange.read_all()) == expected


def test_what_an_attempt_has_written_is_removed_if_it_fails_after_all(tmp_path: Path) -> None:
    exchange = Exchange(session(tmp_path / "s"), dependency(2))
    exchange.write_all([("a", 1)], [("b", 2)])
    written = sorted(path.name for path in (tmp_path / "s" / "shuffle").iterdir())

    for listener in exchange.attempt.failure_listeners:  # the last attempt's
        listener(None, TaskKilled("too late"))

    assert sorted(path.name for path in (tmp_path / "s" / "shuffle").iterdir()) == written[:2]
