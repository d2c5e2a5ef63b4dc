"""The programs by hand: a limit is worth nothing if it is wrong."""

import asyncio
from collections import Counter
from operator import neg
from pathlib import Path

import pytest

from benchmarks.byhand import AsyncHandPool, HandPool
from benchmarks.hand_wordcount import blocks, lines, same_dataflow, splits, tuned

TEXT = "".join(f"{'word' * (number % 3 + 1)} w{number % 15} ünïcödé\n" for number in range(5000))


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.mark.parametrize("count", [1, 2, 7])
def test_splits_end_at_line_ends_and_lose_nothing(text_file: Path, count: int) -> None:
    ranges = splits(text_file, count)

    assert "".join("".join(blocks(*part)) for part in ranges) == TEXT
    assert sum(len(list(lines(*part))) for part in ranges) == 5000


def test_a_range_without_a_last_line_end_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("one\ntwo")

    assert list(lines(path, 0, 7)) == ["one", "two"]


@pytest.mark.cluster
def test_both_word_counts_agree_with_a_counter(text_file: Path) -> None:
    expected = sorted(count for _, count in Counter(TEXT.split()).most_common(20))

    with HandPool(2) as pool:
        by_dataflow = same_dataflow(pool, text_file, 3, 2)
        by_counter = tuned(pool, text_file)

    assert sorted(count for _, count in by_dataflow) == expected
    assert dict(by_counter) == dict(by_dataflow)


@pytest.mark.cluster
def test_a_pool_answers_in_order_and_from_a_loop() -> None:
    async def use(pool: HandPool) -> list[int]:
        hand = AsyncHandPool(pool)
        answers: list[int] = await asyncio.gather(*(hand.submit(neg, number) for number in range(20)))
        hand.close()
        return answers

    with HandPool(2) as pool:
        assert pool.map(neg, [(number,) for number in range(20)]) == [-number for number in range(20)]
        assert asyncio.run(use(pool)) == [-number for number in range(20)]
