"""Every operator in runner processes, with memory for a fraction of its records: the answers of plain Python.

The data is always the same. One key has half of all values, which alone take more than the bound.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from itertools import chain, pairwise
from operator import add, itemgetter
from random import Random
from typing import Any, NamedTuple

import pytest

from minispark.conf import SparkConf
from minispark.context import SparkContext
from minispark.messages.listener import ListenerEvent, StageCompleted
from minispark.rdd.rdd import RDD

pytestmark = pytest.mark.cluster

BOUND = "64k"
RECORDS = [(0 if number % 2 else number, number * 7919 % 8009) for number in range(8000)]
OTHERS = [(number * 3, str(number)) for number in range(4000)]
WORDS = [f"word {number * 7919 % 3000}" for number in range(8000)]
OTHER_WORDS = [f"word {number}" for number in range(1500, 4500)]
BLOBS = [(number, Random(number).randbytes(100)) for number in range(4000)]


class Data(NamedTuple):
    """What operators are applied to."""

    pairs: RDD[tuple[int, int]]
    others: RDD[tuple[int, str]]
    words: RDD[str]
    other_words: RDD[str]
    blobs: RDD[tuple[int, bytes]]


class Outcome(NamedTuple):
    """What an operator gave, and how much its tasks wrote to disk for lack of memory."""

    found: Any
    spilled_bytes: int


def groups(records: list[tuple[int, Any]]) -> dict[int, list[Any]]:
    made = defaultdict(list)
    for key, value in records:
        made[key].append(value)
    return dict(made)


OTHER_WORD_SET = set(OTHER_WORDS)
LEFT, RIGHT = groups(RECORDS), groups(OTHERS)
TOTAL = sum(map(itemgetter(1), RECORDS))


def added(total: int, pair: tuple[int, int]) -> int:
    return total + pair[1]


def joined(keys: Any) -> list[Any]:
    return sorted(
        (key, repr((one, two))) for key in keys for one in LEFT.get(key, [None]) for two in RIGHT.get(key, [None])
    )


def in_order(records: list[Any]) -> list[Any]:
    return sorted((key, repr(values)) for key, values in records)


def are_lists(*values: Any) -> tuple[list[Any], ...]:
    return tuple(map(list, values))


async def sorted_parts(rdd: RDD[Any]) -> Any:
    parts = await rdd.glom().collect()
    assert all(one[0] <= two[0] for part in parts for one, two in pairwise(part))
    return sorted(chain.from_iterable(parts))


Operator = tuple[Callable[[Data], Awaitable[Any]], Callable[[], Any], Callable[[Any], Any]]

SPILLING: dict[str, Operator] = {
    "group_by_key": (lambda d: d.pairs.group_by_key(2).map_values(list).collect(), lambda: LEFT, dict),
    "group_by": (
        lambda d: d.pairs.group_by(lambda pair: pair[0] % 300, 2).map_values(list).collect(),
        lambda: groups([(pair[0] % 300, pair) for pair in RECORDS]),
        dict,
    ),
    "reduce_by_key": (
        lambda d: d.pairs.reduce_by_key(add, 2).collect(), lambda: {key: sum(LEFT[key]) for key in LEFT}, dict
    ),
    "fold_by_key": (
        lambda d: d.pairs.fold_by_key(0, max, 2).collect(), lambda: {key: max(LEFT[key]) for key in LEFT}, dict
    ),
    "aggregate_by_key": (
        lambda d: d.pairs.aggregate_by_key(0, lambda n, _: n + 1, add, 2).collect(),
        lambda: {key: len(LEFT[key]) for key in LEFT},
        dict,
    ),
    "combine_by_key": (
        lambda d: d.pairs.combine_by_key(lambda n: (n,), lambda t, n: (min(*t, n),), min, 2).collect(),
        lambda: {key: (min(LEFT[key]),) for key in LEFT},
        dict,
    ),
    "cogroup": (
        lambda d: d.pairs.cogroup(d.others, 2).map_values(lambda both: are_lists(*both)).collect(),
        lambda: {key: (LEFT.get(key, []), RIGHT.get(key, [])) for key in LEFT.keys() | RIGHT.keys()},
        dict,
    ),
    "join": (lambda d: d.pairs.join(d.others, 2).collect(), lambda: joined(LEFT.keys() & RIGHT.keys()), in_order),
    "left_outer_join": (lambda d: d.pairs.left_outer_join(d.others, 2).collect(), lambda: joined(LEFT), in_order),
    "right_outer_join": (lambda d: d.pairs.right_outer_join(d.others, 2).collect(), lambda: joined(RIGHT), in_order),
    "full_outer_join": (
        lambda d: d.pairs.full_outer_join(d.others, 2).collect(), lambda: joined(LEFT.keys() | RIGHT.keys()), in_order
    ),
    "subtract_by_key": (
        lambda d: d.pairs.subtract_by_key(d.others, 2).collect(),
        lambda: sorted(pair for pair in RECORDS if pair[0] not in RIGHT),
        sorted,
    ),
    "sort_by_key": (
        lambda d: d.pairs.sort_by_key(num_partitions=2).collect(), lambda: sorted(RECORDS, key=itemgetter(0)), list
    ),
    "sort_by_key, falling": (
        lambda d: d.pairs.sort_by_key(False, 2).collect(),
        lambda: sorted(RECORDS, key=itemgetter(0), reverse=True),
        list,
    ),
    "sort_by": (
        lambda d: d.pairs.sort_by(itemgetter(1), num_partitions=2).collect(),
        lambda: sorted(RECORDS, key=itemgetter(1)),
        list,
    ),
    "repartition_and_sort_within_partitions": (
        lambda d: sorted_parts(d.pairs.repartition_and_sort_within_partitions(2)), lambda: sorted(RECORDS), list
    ),
    "distinct": (lambda d: d.words.distinct(2).collect(), lambda: sorted(set(WORDS)), sorted),
    "subtract": (
        lambda d: d.words.subtract(d.other_words, 2).collect(),
        lambda: sorted(word for word in WORDS if word not in OTHER_WORD_SET),
        sorted,
    ),
    "intersection": (
        lambda d: d.words.intersection(d.other_words, 2).collect(),
        lambda: sorted(set(WORDS) & set(OTHER_WORDS)),
        sorted,
    ),
    "repartition": (lambda d: d.blobs.repartition(3).collect(), lambda: BLOBS, sorted),
    "partition_by": (lambda d: d.blobs.partition_by(3).collect(), lambda: BLOBS, sorted),
}  # fmt: skip

BOUNDED: dict[str, Operator] = {
    "top": (lambda d: d.words.top(100), lambda: sorted(WORDS, reverse=True)[:100], list),
    "take_ordered": (lambda d: d.words.take_ordered(100), lambda: sorted(WORDS)[:100], list),
    "aggregate": (lambda d: d.pairs.aggregate(0, added, add), lambda: TOTAL, int),
    "tree_aggregate": (lambda d: d.pairs.tree_aggregate(0, added, add), lambda: TOTAL, int),
    "reduce": (lambda d: d.words.reduce(max), lambda: max(WORDS), str),
    "fold": (lambda d: d.pairs.values().fold(0, add), lambda: TOTAL, int),
    "count_by_value": (lambda d: d.words.count_by_value(), lambda: dict(Counter(WORDS)), dict),
    "count_by_key": (lambda d: d.pairs.count_by_key(), lambda: {key: len(LEFT[key]) for key in LEFT}, dict),
}  # fmt: skip


class Spilled:
    """Adds up what tasks spill."""

    def __init__(self) -> None:
        self.bytes = 0

    def on_event(self, event: ListenerEvent) -> None:
        if isinstance(event, StageCompleted):
            self.bytes += event.stage.metrics.spilled_bytes


async def run_all() -> dict[str, Outcome]:
    """Run all operators in one context."""
    outcomes, spilled = {}, Spilled()
    async with SparkContext("local[2]", conf=SparkConf({"minispark.memory.taskSize": BOUND})) as sc:
        sc.add_listener(spilled)
        data = Data(*(sc.parallelize(records, 2) for records in (RECORDS, OTHERS, WORDS, OTHER_WORDS, BLOBS)))  # type: ignore[arg-type]
        for name, (operator, _, _) in {**SPILLING, **BOUNDED}.items():
            before = spilled.bytes
            found = await operator(data)
            await sc.parallelize([1], 1).count()  # its stages are told after the last of these
            outcomes[name] = Outcome(found, spilled.bytes - before)
    return outcomes


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    return asyncio.run(run_all())


@pytest.mark.parametrize("name", SPILLING)
def test_what_does_not_fit_is_spilled_and_the_answer_is_that_of_plain_python(
    outcomes: dict[str, Outcome], name: str
) -> None:
    _, expected, form = SPILLING[name]

    assert form(outcomes[name].found) == expected()
    assert outcomes[name].spilled_bytes > 0


@pytest.mark.parametrize("name", BOUNDED)
def test_what_needs_little_memory_gives_the_answer_of_plain_python(outcomes: dict[str, Outcome], name: str) -> None:
    _, expected, form = BOUNDED[name]

    assert form(outcomes[name].found) == expected()
