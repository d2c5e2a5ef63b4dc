import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.errors import MapOutputMissing
from minispark.ids import ExecutorId, ShuffleId, TaskId
from minispark.messages.task import MapStatus
from minispark.shuffle.logic.map_outputs import MapOutputs, unpack_map_outputs
from minispark.shuffle.logic.sizes import encode_sizes
from minispark.testing.builders import location

SHUFFLE = ShuffleId(10)


def status(
    map_index: int, executor: str = "1", sizes: tuple[int, ...] = (1000, 10000), host: str = "localhost"
) -> MapStatus:
    where = location(executor, host)
    return MapStatus(where, TaskId(map_index + 50), map_index, encode_sizes(sizes), sum(sizes), 7)


def table_of(*statuses: MapStatus, maps: int = 2, reducers: int = 2) -> MapOutputs:
    table = MapOutputs()
    table.register_shuffle(SHUFFLE, maps, reducers)
    for each in statuses:
        table.register(SHUFFLE, each)
    table.check()
    return table


@pytest.mark.scenario("MOT-001", "start/stop")
def test_a_new_table_knows_nothing_and_is_empty_again_in_the_end() -> None:
    table = MapOutputs()
    table.assert_empty()
    assert SHUFFLE not in table
    assert not table.is_complete(SHUFFLE)

    table.register_shuffle(SHUFFLE, 1, 1)
    assert SHUFFLE in table
    table.remove_shuffle(SHUFFLE)

    table.assert_empty()


@pytest.mark.scenario("MOT-001", "register and fetch")
def test_a_reader_finds_each_output_with_place_and_size() -> None:
    table = table_of(status(0, "1"), status(1, "2", (10000, 1000)))

    blocks = unpack_map_outputs(table.packed(SHUFFLE)).blocks(0)

    assert table.is_complete(SHUFFLE)
    assert [(block.location, block.map_id, block.map_index) for block in blocks] == [
        (location("1"), 50, 0),
        (location("2"), 51, 1),
    ]
    assert [block.size_bytes for block in blocks] == pytest.approx([1000, 10000], rel=0.1)


@pytest.mark.scenario("MOT-001", "unregister shuffle")
def test_a_removed_shuffle_is_unknown_and_its_outputs_are_returned() -> None:
    table = table_of(status(1))

    assert table.remove_shuffle(SHUFFLE) == [status(1)]
    assert table.remove_shuffle(SHUFFLE) == []
    assert table.packed(SHUFFLE) == b""


@pytest.mark.scenario("MOT-001", "unregister one output")
def test_a_lost_output_makes_readers_fail_and_starts_a_new_epoch() -> None:
    table = table_of(status(0, "1"), status(1, "2"))

    assert table.unregister(SHUFFLE, 0, location("1"))

    assert (table.epoch, table.missing_partitions(SHUFFLE), table.available(SHUFFLE)) == (1, [0], 1)
    with pytest.raises(MapOutputMissing, match="map 0 is missing"):
        unpack_map_outputs(table.packed(SHUFFLE)).blocks(0)


def test_an_output_that_is_elsewhere_by_now_is_not_unregistered() -> None:
    table = table_of(status(0, "1"), status(1))
    table.register(SHUFFLE, status(0, "2"))

    assert not table.unregister(SHUFFLE, 0, location("1"))
    assert table.is_complete(SHUFFLE)
    assert table.epoch == 0


def test_all_outputs_of_a_shuffle_can_be_dropped_at_once() -> None:
    table = table_of(status(0), status(1))

    table.unregister_all(SHUFFLE)

    table.check()
    assert table.missing_partitions(SHUFFLE) == [0, 1]
    assert table.epoch == 1


@pytest.mark.parametrize("by_host", [False, True])
def test_the_outputs_of_a_lost_executor_or_host_are_dropped(by_host: bool) -> None:
    table = table_of(status(0, "1", host="a"), status(1, "2", host="b"))

    losers = table.remove_on_host("a") if by_host else table.remove_on_executor(ExecutorId("1"))

    table.check()
    assert losers == [SHUFFLE]
    assert table.missing_partitions(SHUFFLE) == [0]
    assert table.epoch == 1


def test_all_executors_of_a_lost_host_lose_their_outputs() -> None:
    table = table_of(status(0, "1", host="a"), status(1, "2", host="b"), status(2, "3", host="a"), maps=3)

    assert table.remove_on_host("a") == [SHUFFLE]

    table.check()
    assert table.missing_partitions(SHUFFLE) == [0, 2]


def test_losing_an_executor_without_outputs_is_an_epoch_all_the_same() -> None:
    table = table_of(status(0))

    assert table.remove_on_executor(ExecutorId("9")) == []
    assert table.epoch == 1


@pytest.mark.scenario("MOT-006")
def test_blocks_without_bytes_are_left_out_of_what_a_reducer_fetches() -> None:
    table = table_of(status(0, sizes=(0, 10)), status(1, sizes=(10, 0)), status(2, sizes=(0, 0)), maps=3)

    view = unpack_map_outputs(table.packed(SHUFFLE))

    assert [[block.map_index for block in view.blocks(reducer)] for reducer in (0, 1)] == [[1], [0]]


def test_a_shuffle_without_maps_has_nothing_to_fetch() -> None:
    table = table_of(maps=0)

    assert table.is_complete(SHUFFLE)
    assert unpack_map_outputs(table.packed(SHUFFLE)).blocks(1) == []


def test_an_unknown_shuffle_is_missing_rather_than_empty() -> None:
    with pytest.raises(MapOutputMissing, match="not known"):
        unpack_map_outputs(MapOutputs().packed(SHUFFLE)).blocks(0)


def test_the_packed_form_is_kept_until_an_output_changes() -> None:
    table = table_of(status(0), status(1))
    packed = table.packed(SHUFFLE)
    assert table.packed(SHUFFLE) is packed

    table.increment_epoch()
    assert table.packed(SHUFFLE) is packed
    table.register(SHUFFLE, status(1, "2"))

    assert table.packed(SHUFFLE) != packed


def test_a_location_is_packed_once_for_all_its_outputs() -> None:
    table = table_of(*(status(index) for index in range(100)), maps=100)

    assert table.packed(SHUFFLE).count(b"localhost") == 1


@pytest.mark.scenario("MOT-005")
def test_statistics_are_there_without_going_through_the_outputs() -> None:
    table = table_of(maps=50, reducers=300)
    sizes = tuple(range(300))
    for map_index in range(50):
        table.register(SHUFFLE, status(map_index, sizes=sizes))
    table.of(SHUFFLE).statuses.clear()  # nobody asks for them

    assert table.statistics(SHUFFLE) == pytest.approx([50 * size for size in sizes], rel=0.1, abs=50)


@pytest.mark.scenario("MOT-007", "32210: nested-array serialisation (and ignored >2 GB case)")
def test_many_outputs_are_packed_as_flat_arrays_and_come_back_whole() -> None:
    sizes = tuple(range(200))
    table = table_of(*(status(index, str(index % 7), sizes) for index in range(500)), maps=500, reducers=200)

    view = unpack_map_outputs(table.packed(SHUFFLE))

    assert (len(view.places), len(view.map_ids), len(view.sizes)) == (500, 500, 500 * 200)
    assert [block.map_id for block in view.blocks(199)] == [index + 50 for index in range(500)]


def test_the_sizes_of_many_small_blocks_are_packed_in_far_less_than_a_byte_each() -> None:
    chance = random.Random(1)
    columns = [tuple(chance.choices((0, 70, 72), (9, 90, 1), k=400)) for _ in range(50)]
    table = table_of(*(status(index, "1", sizes) for index, sizes in enumerate(columns)), maps=50, reducers=400)

    packed = table.packed(SHUFFLE)

    assert len(packed) < 50 * 400 / 3
    found = {
        (block.map_index, reducer) for reducer in range(400) for block in unpack_map_outputs(packed).blocks(reducer)
    }
    assert found == {
        (index, reducer) for index, sizes in enumerate(columns) for reducer in range(400) if sizes[reducer]
    }


@pytest.mark.scenario("MOT-008", "39553: concurrent unregister safe")
def test_an_output_that_goes_after_a_reader_asked_does_not_change_the_answer() -> None:
    table = table_of(status(0, "1"), status(1, "2"))
    view = unpack_map_outputs(table.packed(SHUFFLE))

    table.unregister(SHUFFLE, 0, location("1"))
    table.remove_shuffle(SHUFFLE)

    assert len(view.blocks(0)) == 2


@pytest.mark.scenario("MOT-008", "44658/44661 null statuses handled")
def test_outputs_that_are_not_there_are_passed_over() -> None:
    table = table_of(status(1, "2"), maps=3)

    assert not table.unregister(SHUFFLE, 0, location("1"))
    assert table.remove_on_executor(ExecutorId("1")) == []
    assert table.statistics(SHUFFLE) == pytest.approx([1000, 10000], rel=0.1)
    assert table.locations_with_largest_outputs(SHUFFLE, 0, 0.2) == ("localhost",)
    assert table.remove_shuffle(SHUFFLE) == [status(1, "2")]


@pytest.mark.scenario("MOT-008", "48394 id→index map cleaned (3)")
@pytest.mark.parametrize("how", ["again", "lost", "all"])
def test_nothing_points_to_an_output_that_was_replaced_or_dropped(how: str) -> None:
    table = table_of(status(0, "1"))

    match how:
        case "again":
            table.register(SHUFFLE, status(0, "2"))
        case "lost":
            table.unregister(SHUFFLE, 0, location("1"))
        case _:
            table.unregister_all(SHUFFLE)

    table.check()
    assert table.remove_on_executor(ExecutorId("1")) == []


def test_statistics_are_the_bytes_of_each_reducer() -> None:
    table = table_of(status(0, sizes=(1000, 10000)), status(1, sizes=(1000, 0)))

    assert table.statistics(SHUFFLE) == pytest.approx([2000, 10000], rel=0.1)


def test_what_does_not_fit_the_shuffle_is_refused() -> None:
    table = table_of()

    with pytest.raises(ValueError, match="registered twice"):
        table.register_shuffle(SHUFFLE, 2, 2)
    with pytest.raises(ValueError, match="map 2 with 2 reducers does not fit"):
        table.register(SHUFFLE, status(2))
    with pytest.raises(ValueError, match="with 3 reducers does not fit"):
        table.register(SHUFFLE, status(0, sizes=(1, 2, 3)))
    with pytest.raises(ValueError, match="shuffle 11 is not registered"):
        table.missing_partitions(ShuffleId(11))


STEPS = st.tuples(st.sampled_from(["add", "lose", "executor", "all"]), st.integers(0, 2), st.sampled_from("12"))


@given(st.lists(STEPS, max_size=20))
def test_counts_and_indexes_agree_after_any_history(steps: list[tuple[str, int, str]]) -> None:
    table = table_of(maps=3)
    for step, map_index, executor in steps:
        epoch = table.epoch
        match step:
            case "add":
                table.register(SHUFFLE, status(map_index, executor))
            case "lose":
                table.unregister(SHUFFLE, map_index, location(executor))
            case "executor":
                table.remove_on_executor(ExecutorId(executor))
            case _:
                table.unregister_all(SHUFFLE)
        table.check()
        assert table.epoch >= epoch
        assert table.is_complete(SHUFFLE) == (table.missing_partitions(SHUFFLE) == [])


@pytest.mark.scenario("MOT-004", "locations with largest outputs (several outputs on one machine)")
def test_a_host_with_several_small_outputs_is_preferred_to_one_with_a_large_one() -> None:
    table = table_of(
        status(0, "1", (2, 1), host="a"), status(1, "2", (2, 1), host="a"), status(2, "3", (3, 1), host="b"), maps=3
    )

    assert table.locations_with_largest_outputs(SHUFFLE, 0, 0.5) == ("a",)
    assert table.locations_with_largest_outputs(SHUFFLE, 0, 0.2) == ("a", "b")


@pytest.mark.scenario("MOT-004", "44109 duplicates removed")
def test_a_host_is_preferred_once_however_many_executors_it_has() -> None:
    table = table_of(*(status(index, str(index), host="a") for index in range(2)))

    assert table.locations_with_largest_outputs(SHUFFLE, 0, 0.2) == ("a",)


def test_nothing_is_preferred_without_outputs_or_in_a_shuffle_that_is_too_wide() -> None:
    table = table_of(status(0, sizes=(0, 1)), status(1, sizes=(0, 1)))
    table.register_shuffle(ShuffleId(11), 1000, 2)
    table.register(ShuffleId(11), status(0))

    assert table.locations_with_largest_outputs(SHUFFLE, 0, 0.2) == ()
    assert table.locations_with_largest_outputs(ShuffleId(11), 0, 0.2) == ()
    assert table.locations_with_largest_outputs(ShuffleId(12), 0, 0.2) == ()


def test_an_output_that_moves_is_found_at_its_new_place_in_a_new_epoch() -> None:
    table = table_of(status(0, "1"), status(1, "1"))
    before, map_id = table.epoch, status(1, "1").map_id

    assert table.move(SHUFFLE, map_id, location("2"))

    assert table.epoch == before + 1
    assert table.has_moved(map_id)
    assert not table.has_moved(status(0).map_id)
    assert [block.location.executor_id for block in unpack_map_outputs(table.packed(SHUFFLE)).blocks(0)] == ["1", "2"]
    assert table.remove_on_executor(ExecutorId("1")) == [SHUFFLE]
    assert table.missing_partitions(SHUFFLE) == [0], "what was handed over is not lost with its executor"
    table.check()


def test_an_output_that_nobody_knows_does_not_move() -> None:
    table = table_of(status(0, "1"))
    before = table.epoch

    assert not table.move(SHUFFLE, TaskId(999), location("2"))
    assert not table.move(ShuffleId(999), TaskId(0), location("2"))
    assert table.epoch == before
