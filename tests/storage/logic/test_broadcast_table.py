import pytest

from minispark.ids import BroadcastId, ExecutorId
from minispark.messages.distribution import BroadcastHolder, LocateBroadcast
from minispark.messages.task import BlockManagerId
from minispark.storage.logic.broadcast_table import BroadcastTable
from minispark.testing.fakes import RecordingRef

ID = BroadcastId(4)
WHOLE, PART, NOTHING = b"\1\1\1", b"\1\0\1", b""


def at(name: str, host: str = "host-a") -> BlockManagerId:
    return BlockManagerId(ExecutorId(name), host, 1000 + int(name), f"/{name}")


def ask(location: BlockManagerId, pieces: bytes = NOTHING, shares: bool = True) -> LocateBroadcast:
    return LocateBroadcast(ID, location, pieces, RecordingRef("Supply"), shares)


@pytest.fixture
def table() -> BroadcastTable[str]:
    return BroadcastTable()


def test_who_has_pieces_is_a_holder_for_others(table: BroadcastTable[str]) -> None:
    table.locate(ask(at("1"), PART), "first")
    table.locate(ask(at("2", "host-b"), WHOLE), "second")

    table.check()
    assert table.holders(ID) == (BroadcastHolder(at("1"), PART), BroadcastHolder(at("2", "host-b"), b""))


def test_of_a_host_one_fetches_and_the_others_wait_for_it(table: BroadcastTable[str]) -> None:
    assert table.locate(ask(at("1")), "first") == ["first"]
    assert table.locate(ask(at("2")), "second") == []
    assert table.locate(ask(at("3")), "third") == []
    assert table.locate(ask(at("4", "host-b")), "elsewhere") == ["elsewhere"]
    assert table.locate(ask(at("1"), PART), "again") == ["again"]
    table.check()

    assert table.locate(ask(at("1"), WHOLE), "done") == ["done", "second", "third"]
    assert table.locate(ask(at("5")), "late") == ["late"]
    table.check()


def test_who_does_not_share_never_waits(table: BroadcastTable[str]) -> None:
    table.locate(ask(at("1"), shares=False), "first")

    assert table.locate(ask(at("2"), shares=False), "second") == ["second"]


@pytest.mark.parametrize("how", ["given up", "lost"])
def test_when_the_one_that_fetches_fails_the_next_one_does(table: BroadcastTable[str], how: str) -> None:
    table.locate(ask(at("1")), "first")
    table.locate(ask(at("2")), "second")
    table.locate(ask(at("3")), "third")

    again = table.given_up(ID, at("1")) if how == "given up" else table.lost("host-a", 1001)[ID]

    assert again == ["second"]
    assert table.given_up(ID, at("1")) == []
    assert table.given_up(ID, at("2")) == ["third"]
    assert table.given_up(ID, at("3")) == []
    table.check()


def test_a_lost_executor_holds_nothing_and_waits_for_nothing(table: BroadcastTable[str]) -> None:
    table.locate(ask(at("1")), "first")
    table.locate(ask(at("2")), "second")
    table.locate(ask(at("3", "host-b"), WHOLE), "third")

    assert table.lost("host-b", 1003) == {}
    assert table.lost("host-a", 1002) == {}

    assert table.holders(ID) == ()
    assert table.locate(ask(at("1"), WHOLE), "done") == ["done"]


def test_removing_gives_back_those_that_wait(table: BroadcastTable[str]) -> None:
    table.locate(ask(at("1")), "first")
    table.locate(ask(at("2")), "second")

    assert table.remove(ID) == ["second"]
    assert table.remove(ID) == []
    table.assert_empty()
