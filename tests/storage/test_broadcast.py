import pytest

from minispark.ids import BinaryId, BroadcastId
from minispark.messages.cluster import BinaryContent, FetchBinary
from minispark.messages.runner import Binary, NeedClass
from minispark.storage.broadcast import LARGE_BINARY_BYTES, BinaryServer, BinaryTable
from minispark.testing.fakes import RecordingContext


def make_server(table: BinaryTable) -> BinaryServer:
    return BinaryServer(table, lambda name: f"class {name}".encode())


def test_a_binary_is_served_by_its_id() -> None:
    table = BinaryTable()
    first, second = table.add(b"one"), table.add(b"two")
    context = RecordingContext()

    make_server(table).receive(FetchBinary(second), context)

    assert first != second
    assert context.replies == [BinaryContent(second, b"two")]


def test_a_removed_binary_is_an_error_and_its_id_is_not_used_again() -> None:
    table = BinaryTable()
    binary_id = table.add(b"one")
    table.remove(binary_id)
    table.remove(binary_id)
    context = RecordingContext()

    make_server(table).receive(FetchBinary(binary_id), context)

    assert "binary 0 is gone" in str(context.failures[0])
    assert table.add(b"two") != binary_id


def test_a_class_of_the_driver_is_made_by_the_closures_room() -> None:
    context = RecordingContext()

    make_server(BinaryTable()).receive(NeedClass("Point"), context)

    assert context.replies == [Binary(b"class Point")]


def test_the_table_is_empty_when_all_is_removed() -> None:
    table = BinaryTable()
    binary_id = table.add(b"one")
    assert len(table) == 1
    assert table.get(binary_id) == BinaryContent(binary_id, b"one")

    table.remove(binary_id)

    table.assert_empty()
    assert table.get(BinaryId(9)) is None


class Broadcasts:
    """Hands out large binaries, and keeps what it was given."""

    def __init__(self) -> None:
        self.sizes: dict[BroadcastId, int] = {}

    def broadcast_binary(self, data: bytes) -> BroadcastId:
        self.sizes[BroadcastId(7)] = len(data)
        return BroadcastId(7)

    def drop_broadcast(self, broadcast_id: BroadcastId) -> None:
        del self.sizes[broadcast_id]


@pytest.mark.scenario("BRD-006")
def test_a_large_binary_is_a_broadcast_whose_bytes_the_table_does_not_keep() -> None:
    large = Broadcasts()
    table = BinaryTable(lambda: large)

    small_id, large_id = table.add(b"x" * (LARGE_BINARY_BYTES - 1)), table.add(b"x" * LARGE_BINARY_BYTES)

    assert large.sizes == {BroadcastId(7): LARGE_BINARY_BYTES}
    assert table.get(large_id) == BinaryContent(large_id, b"", BroadcastId(7))
    assert table.get(small_id) != table.get(large_id)
    table.remove(large_id)
    assert large.sizes == {}
