from minispark.ids import BinaryId
from minispark.messages.cluster import BinaryContent, FetchBinary
from minispark.messages.runner import Binary, NeedClass
from minispark.storage.broadcast import BinaryServer, BinaryTable
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
    assert table.get(binary_id) == b"one"

    table.remove(binary_id)

    table.assert_empty()
    assert table.get(BinaryId(9)) is None
