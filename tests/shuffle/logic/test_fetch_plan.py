from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.ids import TaskId
from minispark.messages.task import BlockManagerId
from minispark.shuffle.logic.fetch_plan import FetchPlan, plan_fetches
from minispark.shuffle.logic.map_outputs import MapOutputLocation
from minispark.testing.builders import location


def blocks_on(executors: Sequence[str], size_bytes: int = 10) -> list[MapOutputLocation]:
    return [
        MapOutputLocation(location(executor), TaskId(index), index, size_bytes)
        for index, executor in enumerate(executors)
    ]


def plan(executors: Sequence[str], local: str = "", reducer: int = 0, in_flight: int = 100) -> FetchPlan:
    return plan_fetches(blocks_on(executors), lambda where: where.executor_id in local, reducer, in_flight)


def test_files_that_can_be_opened_are_read_in_the_order_of_the_maps() -> None:
    found = plan("abab", local="ab")

    assert [block.map_index for block in found.local] == [0, 1, 2, 3]
    assert found.remote == ()


@pytest.mark.scenario("HIS-005", "ShuffleBlockFetcherIterator (non-push)")
def test_the_blocks_of_a_peer_go_into_requests_of_a_fifth_of_what_may_be_in_flight() -> None:
    found = plan("aaaaa", in_flight=100)

    assert [[block.map_index for block in request.blocks] for request in found.remote] == [[0, 1], [2, 3], [4]]
    assert [request.size_bytes for request in found.remote] == [20, 20, 10]


@pytest.mark.scenario("HIS-005", "ShuffleBlockFetcherIterator (non-push)")
def test_a_block_larger_than_the_limit_goes_alone() -> None:
    assert [len(request.blocks) for request in plan("aa", in_flight=1).remote] == [1, 1]


def test_reducers_start_at_different_peers() -> None:
    starts = [plan("abc", reducer=reducer).remote[0].location.executor_id for reducer in range(4)]

    assert starts == ["a", "b", "c", "a"]


def test_whether_a_location_is_local_is_asked_once() -> None:
    asked: list[BlockManagerId] = []

    def is_local(where: BlockManagerId) -> bool:
        asked.append(where)
        return False

    plan_fetches(blocks_on("aab"), is_local, 0, 100)

    assert asked == [location("a"), location("b")]


def test_nothing_to_read_is_an_empty_plan() -> None:
    assert plan("") == FetchPlan((), ())


@given(st.text("abc", max_size=30), st.sampled_from(["", "a", "ab"]), st.integers(0, 5), st.integers(1, 400))
def test_every_block_is_read_exactly_once(executors: str, local: str, reducer: int, in_flight: int) -> None:
    found = plan(executors, local, reducer, in_flight)

    remote = [block for request in found.remote for block in request.blocks]
    assert all(block.location == request.location for request in found.remote for block in request.blocks)
    assert sorted(block.map_index for block in (*found.local, *remote)) == list(range(len(executors)))
