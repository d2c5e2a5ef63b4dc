import asyncio
import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from minispark.errors import RpcError
from minispark.ids import BlockId, RddId, rdd_block_id
from minispark.messages.blocks import BlockFile, BlockLocations, GetLocations
from minispark.messages.task import BlockManagerId
from minispark.storage.block_fetcher import RemoteBlocks, in_order
from minispark.testing.builders import location
from minispark.testing.fakes import RecordingRef
from minispark.testing.virtual_loop import VirtualWorld, run_virtual

BLOCK = rdd_block_id(RddId(1), 0)
HERE = location("1", "here")


def known(*holders: BlockManagerId) -> BlockLocations:
    return BlockLocations(holders, (BlockFile("elsewhere"),) * len(holders))


class Master:
    """Knows who has the block."""

    def __init__(self, *answers: tuple[BlockManagerId, ...]) -> None:
        self.answers = list(answers)

    async def ask(self, message: GetLocations) -> BlockLocations:
        return known(*self.answers.pop(0))


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

    assert [source.location for source in in_order(known(far, HERE, near), HERE)] == [near, far]


class Neighbours:
    """Two executors of one host with their directories: this one, and one that has the block in a file.

    The other one also gives it over the network, but in nine bytes.
    """

    def __init__(self, folder: Path) -> None:
        for name in ("mine", "theirs"):
            (folder / name / "blocks").mkdir(parents=True)
            (folder / name / "token").touch()
        self.here = replace(HERE, directory=str(folder / "mine"))
        self.holder = replace(location("2", "here"), directory=str(folder / "theirs"))
        self.source = folder / "theirs" / "blocks" / "rdd_1_0.5"
        self.source.write_bytes(b"content")
        self.target = folder / "mine" / "blocks" / "rdd_1_0.0"

    def fetch(self, source: Path, *, reads_files: bool = True) -> int:
        answer = BlockLocations((self.holder,), (BlockFile(str(source)),))
        blocks = RemoteBlocks(
            self.here,
            RecordingRef("BlockManagerMaster", answer=lambda _: answer),
            cast(Any, Transfer({"2": 9})),
            VirtualWorld() if reads_files else None,
        )
        return run_virtual(blocks.fetch(BLOCK, str(self.target)))


@pytest.mark.scenario("BLK-005", "27622 same-host read from disk with fall back")
def test_the_file_of_a_neighbour_is_taken_without_being_sent(tmp_path: Path) -> None:
    house = Neighbours(tmp_path)

    assert house.fetch(house.source) == len(b"content")
    assert house.target.samefile(house.source)
    house.source.unlink()
    assert house.target.read_bytes() == b"content"


@pytest.mark.scenario("BLK-005", "27622 same-host read from disk with fall back")
@pytest.mark.parametrize("why", ["the file is gone", "another user's", "no block", "switched off"])
def test_what_cannot_be_read_from_a_neighbours_file_is_sent(tmp_path: Path, why: str) -> None:
    house = Neighbours(tmp_path)
    source = house.source
    if why == "the file is gone":
        source.unlink()
    elif why == "another user's":
        (tmp_path / "theirs" / "token").unlink()
    elif why == "no block":
        source = Path(house.holder.directory, "token")

    assert house.fetch(source, reads_files=why != "switched off") == 9


def test_a_file_on_another_file_system_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: str, target: str) -> None:
        raise OSError(errno.EXDEV, "another file system")

    house = Neighbours(tmp_path)
    monkeypatch.setattr(os, "link", refuse)

    assert house.fetch(house.source) == len(b"content")
    assert house.target.read_bytes() == b"content"
    assert not house.target.samefile(house.source)


@pytest.mark.scenario("ESS-001", "25888 disk-persisted RDD blocks served")
def test_a_shuffle_service_is_asked_for_the_file_of_an_executor_that_is_gone() -> None:
    asked: list[Any] = []

    class Service:
        async def fetch_block_to_file(self, holder: BlockManagerId, name: BlockId, path: str) -> int:
            asked.append((holder, name))
            return 7

    there = location("2", "there")
    answer = BlockLocations((there,), (BlockFile("/session/blocks/rdd_1_0.5", is_served=True),))
    blocks = RemoteBlocks(HERE, RecordingRef("Master", answer=lambda _: answer), cast(Any, Service()))

    assert run_virtual(blocks.fetch(BLOCK, "unused")) == 7
    assert asked == [(there, "rdd_1_0.5")]
