import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from minispark.errors import RpcError
from minispark.ids import BlockId, RddId, rdd_block_id
from minispark.messages.blocks import BlockLocations, GetLocations
from minispark.messages.task import BlockManagerId
from minispark.storage.block_fetcher import RemoteBlocks, in_order
from minispark.testing.builders import location

BLOCK = rdd_block_id(RddId(1), 0)
HERE = location("1", "here")


class Master:
    """Knows who has the block."""

    def __init__(self, *answers: tuple[BlockManagerId, ...]) -> None:
        self.answers = list(answers)

    async def ask(self, message: GetLocations) -> BlockLocations:
        return BlockLocations(self.answers.pop(0))


class Transfer:
    """Gives what each executor has: a size, None for nothing, an error."""

    def __init__(self, answers: dict[str, int | Exception | None]) -> None:
        self.answers = answers

    async def fetch_block_to_file(self, holder: BlockManagerId, block_id: BlockId, path: str) -> int | None:
        answer = self.answers[holder.executor_id]
        if isinstance(answer, Exception):
            raise answer
        return answer


def fetch(answers: dict[str, Any], *holders: BlockManagerId) -> int:
    blocks = RemoteBlocks(HERE, cast(Any, Master(holders)), cast(Any, Transfer(answers)))
    return asyncio.run(blocks.fetch(BLOCK, str(Path("unused"))))


@pytest.mark.scenario("BLK-005", "9591 next location on exception")
def test_the_next_holder_is_asked_if_one_fails_or_has_it_no_more() -> None:
    answers = {"2": RpcError("gone"), "3": None, "4": 7, "5": 8}

    assert fetch(answers, *(location(name) for name in answers)) == 7


def test_without_a_holder_that_gives_it_a_block_is_nowhere() -> None:
    assert fetch({"2": RpcError("gone")}, location("2")) == -1
    assert fetch({}, HERE) == -1


@pytest.mark.scenario("BLK-005", "13328 location refresh after N failures")
def test_after_some_failures_the_master_is_asked_again_who_has_the_block() -> None:
    gone = tuple(location(f"gone-{number}") for number in range(9))
    answers: dict[str, int | Exception | None] = {each.executor_id: RpcError("gone") for each in gone}
    transfer = Transfer({**answers, "fresh": 7})
    blocks = RemoteBlocks(HERE, cast(Any, Master(gone, (location("fresh"),))), cast(Any, transfer))

    assert asyncio.run(blocks.fetch(BLOCK, "unused")) == 7


@pytest.mark.scenario("BLK-005", "sorted by host then rack")
def test_holders_on_this_host_come_first() -> None:
    far, near = location("2", "there"), location("3", "here")

    assert in_order((far, HERE, near), HERE) == [near, far]
