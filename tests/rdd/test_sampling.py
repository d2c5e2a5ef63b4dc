"""Samples are uniform and know the size of what they were taken from; cuts weigh them."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.rdd.sampling import cut, reservoir, sample_size
from minispark.testing.virtual_loop import run_virtual


@given(st.integers(0, 5000), st.integers(1, 50), st.integers())
def test_a_reservoir_counts_everything_and_keeps_some(total: int, size: int, seed: int) -> None:
    counted, kept = reservoir(iter(range(total)), size, Random(seed))

    assert counted == total
    assert len(kept) == len(set(kept)) == min(total, size)
    assert set(kept) <= set(range(total))


def test_a_reservoir_keeps_early_and_late_records_alike() -> None:
    thirds: Counter[int] = Counter()
    for seed in range(40):
        thirds.update(record // 1000 for record in reservoir(iter(range(3000)), 30, Random(seed))[1])

    assert all(320 < thirds[third] < 480 for third in range(3))


@pytest.mark.parametrize(("parents", "partitions", "size"), [(2, 2, 1500), (1000, 200, 12), (0, 1, 3000)])
def test_more_is_sampled_for_more_partitions(parents: int, partitions: int, size: int) -> None:
    assert sample_size(parents, partitions) == size


def test_cuts_weigh_the_keys_of_large_partitions_more() -> None:
    large, small = (900, [1, 2, 3]), (100, [11, 12, 13, 14])

    assert run_virtual(cut([large, small], 3)) == [2, 3]


@given(st.lists(st.tuples(st.integers(1, 99), st.lists(st.integers(0, 9), min_size=1))), st.integers(1, 6))
def test_bounds_are_sorted_different_and_few_enough(samples: list[tuple[int, list[int]]], partitions: int) -> None:
    bounds = run_virtual(cut([(total, sorted(keys)) for total, keys in samples], partitions))

    assert bounds == sorted(set(bounds))
    assert len(bounds) < partitions
