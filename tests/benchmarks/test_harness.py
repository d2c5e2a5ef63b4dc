"""benchmarks.harness: pairs in turn, ratios within a pair."""

import asyncio
import time

import pytest

from benchmarks import harness
from benchmarks.harness import Way, compare, percentile, rounded, tree_cpu_s


def scripted(name: str, values: list[float], log: list[str]) -> Way:
    """Make a way that returns given values, one a run."""

    async def way() -> float:
        log.append(name)
        return values.pop(0)

    return way


def test_each_pair_has_the_speed_of_the_interpreter_beside_it() -> None:
    way = scripted("a", [1.0], []), scripted("b", [1.0], [])
    result = asyncio.run(compare("example", "s", "lower", ours=way[0], by_hand=way[1], quick=True))
    speeds = result.details["python_ms"]
    assert speeds["values"] == [speeds["median"]]
    assert speeds["median"] > 0


def test_the_ways_run_in_turn_and_each_pair_gives_a_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "QUICK_PAIRS", 2)
    log: list[str] = []

    result = asyncio.run(
        compare(
            "example", "s", "lower", quick=True, details={"extra": 1},
            ours=scripted("a", [2.0, 9.0], log), by_hand=scripted("b", [1.0, 3.0], log),
            tuned=scripted("c", [0.5, 1.0], log),
        )
    )  # fmt: skip

    assert log == ["a", "b", "c"] * 2
    assert (result.value, result.limit, result.ratio) == (5.5, 2.0, 2.5)
    assert result.details["ratio_spread"] == [2.0, 3.0]
    assert result.details["ratio_tuned"] == 6.5
    assert result.details["extra"] == 1


def test_a_full_run_has_a_warm_up_and_five_pairs() -> None:
    log: list[str] = []

    result = asyncio.run(
        compare("example", "s", "lower", ours=scripted("a", [1.0] * 6, log), by_hand=scripted("b", [1.0] * 6, log))
    )

    assert "".join(log) == "ab" * 6
    assert result.details["pairs"] == 5


def test_figures_are_cut_to_four_digits() -> None:
    assert rounded({"a": [1.23456, 123456.7], "b": "text", "c": 7}) == {"a": [1.235, 123500.0], "b": "text", "c": 7}


@pytest.mark.parametrize(("percent", "value"), [(0, 1.0), (50, 3.0), (99, 5.0), (100, 5.0)])
def test_a_percentile_is_one_of_the_values(percent: float, value: float) -> None:
    assert percentile([5.0, 1.0, 3.0, 2.0, 4.0], percent) == value


def test_cpu_time_of_the_tree_grows_with_work() -> None:
    before = tree_cpu_s()
    deadline = time.process_time() + 0.05
    while time.process_time() < deadline:
        pass

    assert tree_cpu_s() - before >= 0.03
