from typing import Any

import pytest

from minispark.ids import ExecutorId, TaskId
from minispark.messages.fetching import FetchedBlocks, FetchOpened, NextFetched, OpenFetch
from minispark.messages.task import BlockManagerId
from minispark.shuffle.logic.fetch_plan import FetchRequest
from minispark.shuffle.logic.map_outputs import MapOutputLocation
from minispark.shuffle.pairs import FRAME_HEADER
from minispark.shuffle.remote import NotFetched, RemoteBlocks
from tests.shuffle.outputs import SHUFFLE

THERE = BlockManagerId(ExecutorId("1"), "elsewhere", 7077, "/there")


def frame(payload: bytes) -> bytes:
    return FRAME_HEADER.pack(len(payload)) + payload


def request(*maps: int) -> FetchRequest:
    return FetchRequest(THERE, tuple(MapOutputLocation(THERE, TaskId(100 + index), index, 50) for index in maps))


class Answers:
    """An executor that has these answers."""

    def __init__(self, *answers: FetchedBlocks) -> None:
        self.answers = list(answers)
        self.asked: list[Any] = []

    def __call__(self, asked: Any) -> Any:
        self.asked.append(asked)
        return FetchOpened(5) if isinstance(asked, OpenFetch) else self.answers.pop(0)


def test_batches_come_in_the_order_of_arrival() -> None:
    one, two, three = frame(b"one"), frame(b"two") + frame(b"more"), frame(b"three")
    executor = Answers(
        FetchedBlocks(1, (len(three),), "", three), FetchedBlocks(0, (len(one), len(two)), "", one + two)
    )

    blocks = RemoteBlocks(SHUFFLE, 4, [request(0, 1), request(2)], executor)

    assert list(blocks.batches()) == [b"three", b"one", b"two", b"more"]
    opened = executor.asked[0]
    assert [(wanted.map_ids, wanted.size_bytes) for wanted in opened.requests] == [((100, 101), 100), ((102,), 50)]
    assert executor.asked[1:] == [NextFetched(5)] * 2


def test_a_problem_names_its_block() -> None:
    executor = Answers(FetchedBlocks(0, (), "", b"", "no such file", 1, True))
    blocks = RemoteBlocks(SHUFFLE, 0, [request(3, 4)], executor)

    with pytest.raises(NotFetched, match="no such file") as raised:
        list(blocks.batches())

    assert raised.value.block.map_index == 4
    assert raised.value.only_this_output


def test_a_block_that_is_cut_off_names_itself() -> None:
    cut = frame(b"one")[:-1]
    blocks = RemoteBlocks(SHUFFLE, 0, [request(3)], Answers(FetchedBlocks(0, (len(cut),), "", cut)))

    with pytest.raises(NotFetched, match="ends inside of a frame") as raised:
        list(blocks.batches())

    assert raised.value.block.map_index == 3
