import os
from operator import add
from pathlib import Path

import pytest

from minispark.errors import FetchFailedError, TaskKilled
from minispark.ids import ShuffleId
from minispark.rdd.aggregator import ReduceAggregator
from minispark.shuffle import read_ahead
from minispark.shuffle.files import map_output_paths
from minispark.shuffle.read_ahead import MANY_OUTPUTS, ReadAhead
from tests.shuffle.outputs import SHUFFLE, Exchange, dependency, session

MAPS = MANY_OUTPUTS
REDUCERS = 40


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    """As many maps as make reading ahead pay; each has one pair for each reducer."""
    exchange = Exchange(session(tmp_path / "session"), dependency(REDUCERS, ReduceAggregator(add)))
    exchange.write_all(*[[(key, 1) for key in range(REDUCERS)]] * MAPS)
    return exchange


def paths_of(exchange: Exchange, map_index: int) -> tuple[Path, Path]:
    status = exchange.table.of(SHUFFLE).statuses[map_index]
    assert status is not None
    data, index = map_output_paths(exchange.location.directory, SHUFFLE, status.map_id)
    return Path(data), Path(index)


def change(path: Path, position: int) -> None:
    """Flip a bit of a file, in place."""
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 1]))


def failed_map(exchange: Exchange, reducer: int) -> int:
    with pytest.raises(FetchFailedError) as raised:
        exchange.read(reducer)
    index: int = raised.value.failure.map_index  # type: ignore[attr-defined]
    return index


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files in the order in which windows of them are read."""
    names: list[str] = []
    read_window = read_ahead.read_window

    def counted(directory: str, shuffle_id: ShuffleId, map_id: int, *rest: object) -> object:
        names.append(str(map_id))
        return read_window(directory, shuffle_id, map_id, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(read_ahead, "read_window", counted)
    return names


def test_each_map_output_is_opened_once_for_many_reducers(exchange: Exchange, opened: list[str]) -> None:
    assert exchange.read_all() == [[(key, MAPS)] for key in range(REDUCERS)]

    assert len(opened) == MAPS


def test_windows_end_where_the_bytes_do_and_nothing_is_lost(
    exchange: Exchange, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_ahead, "SHUFFLE_BYTES", 500 * MAPS)

    assert exchange.read_all() == [[(key, MAPS)] for key in range(REDUCERS)]

    assert MAPS < len(opened) < MAPS * REDUCERS // 3


def test_few_outputs_and_large_segments_are_read_from_their_files(
    exchange: Exchange, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_ahead, "MANY_OUTPUTS", MAPS + 1)
    assert exchange.read(0) == [(0, MAPS)]
    monkeypatch.setattr(read_ahead, "MANY_OUTPUTS", MAPS)
    monkeypatch.setattr(read_ahead, "SHUFFLE_BYTES", 100 * MAPS)
    assert exchange.read(1) == [(1, MAPS)]

    assert opened == []


def test_a_file_that_is_removed_after_it_was_read_ahead_is_missed(exchange: Exchange) -> None:
    exchange.read(0)
    paths_of(exchange, 3)[0].unlink()
    assert failed_map(exchange, 1) == 3

    paths_of(exchange, 2)[1].unlink()
    assert failed_map(exchange, 1) == 2


def test_a_directory_that_is_gone_is_missed(exchange: Exchange) -> None:
    exchange.read(0)
    Path(exchange.location.directory, "shuffle").rename(Path(exchange.location.directory, "elsewhere"))

    assert failed_map(exchange, 1) == 0


def test_other_tasks_of_the_stage_attempt_use_what_is_kept_and_later_ones_look_first(exchange: Exchange) -> None:
    exchange.read(0)
    data = paths_of(exchange, 5)[0]
    change(data, data.stat().st_size - 1)
    assert exchange.read(REDUCERS - 1) == [(REDUCERS - 1, MAPS)]

    exchange.stage_attempt = 1
    assert failed_map(exchange, REDUCERS - 1) == 5


@pytest.mark.parametrize("which", [0, 1])
def test_files_that_changed_since_an_earlier_stage_attempt_are_read_again(exchange: Exchange, which: int) -> None:
    exchange.read(0)
    path = paths_of(exchange, 5)[which]
    change(path, 25 if which else path.stat().st_size - 1)
    exchange.stage_attempt = 1

    assert failed_map(exchange, 0 if which else REDUCERS - 1) == 5


def test_files_that_did_not_change_are_not_read_again(exchange: Exchange, opened: list[str]) -> None:
    exchange.read(0)
    Path(exchange.location.directory, "shuffle", "other").touch()

    assert exchange.read(1) == [(1, MAPS)]
    exchange.stage_attempt = 1
    assert exchange.read(2) == [(2, MAPS)]
    assert len(opened) == MAPS


def test_another_output_under_the_same_name_is_read_instead(exchange: Exchange) -> None:
    exchange.read(0)
    os.truncate(paths_of(exchange, 4)[0], 3)
    exchange.write(4, [(key, 101) for key in range(REDUCERS)])

    assert exchange.read(1) == [(1, MAPS + 100)]


def test_the_output_of_another_attempt_is_read_instead(exchange: Exchange) -> None:
    exchange.read(0)
    exchange.table.register(SHUFFLE, exchange.write(4, [(key, 101) for key in range(REDUCERS)], 777))

    assert exchange.read(1) == [(1, MAPS + 100)]


@pytest.mark.parametrize("verifies", [True, False])
def test_damage_that_was_read_ahead_is_found_when_its_reducer_comes(tmp_path: Path, verifies: bool) -> None:
    settings = {"shuffle.checksum.enabled": verifies}
    exchange = Exchange(session(tmp_path / "session"), dependency(REDUCERS), **settings)
    exchange.write_all(*[[(key, 1) for key in range(REDUCERS)]] * MAPS)
    change(paths_of(exchange, 6)[0], 0 if not verifies else 12)  # a frame's header, which needs no checksum
    assert len(exchange.read(1)) == MAPS

    assert failed_map(exchange, 0) == 6


def test_a_segment_of_several_compressed_frames_is_read(tmp_path: Path, opened: list[str]) -> None:
    exchange = Exchange(session(tmp_path / "session"), dependency(1))
    records = [(number // 500, "x") for number in range(1500)]
    exchange.write_all(*[records] * MAPS)
    assert paths_of(exchange, 0)[0].stat().st_size < 2000, "compressed"

    assert exchange.read(0) == records * MAPS
    assert len(opened) == MAPS


@pytest.mark.parametrize("large", [[0], [7, 8], [MAPS - 1]])
def test_small_and_large_segments_come_in_the_order_of_the_maps(tmp_path: Path, large: list[int]) -> None:
    exchange = Exchange(session(tmp_path / "session"), dependency(1))
    outputs = [[(index, "x" * (50_000 if index in large else 5000))] for index in range(MAPS)]
    exchange.write_all(*outputs)

    assert exchange.read(0) == [pair for output in outputs for pair in output]
    assert exchange.attempt.metrics.shuffle_read_records == MAPS
    assert exchange.attempt.metrics.shuffle_read_bytes > MAPS * 5000


def test_a_killed_reader_of_windows_stops(tmp_path: Path) -> None:
    exchange = Exchange(session(tmp_path / "session"), dependency(1))
    exchange.write_all(*[[(0, os.urandom(5000))]] * MAPS)
    records = exchange.access(7).read(exchange.shuffle, 0)
    exchange.attempt.killed_after = 3

    with pytest.raises(TaskKilled):
        list(records)
    assert exchange.attempt.metrics.shuffle_read_records == 3 * 2


def test_only_some_shuffles_and_bytes_are_kept(exchange: Exchange) -> None:
    ahead = ReadAhead()
    first = ahead.of(ShuffleId(0))
    others = [ahead.of(ShuffleId(number)) for number in range(1, 4)]
    assert ahead.of(ShuffleId(0)) is first

    ahead.of(ShuffleId(9))

    assert ahead.of(ShuffleId(2)) is others[1]
    assert ahead.of(ShuffleId(1)) is not others[0]


def test_windows_of_outputs_that_were_replaced_do_not_pile_up(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_ahead, "SHUFFLE_BYTES", 2000 * MAPS)
    windows = exchange.read_ahead.of(SHUFFLE)
    for round_number in range(1, 4):
        exchange.read(0)
        for map_index in range(MAPS):
            records = [(key, 1) for key in range(REDUCERS)]
            exchange.table.register(SHUFFLE, exchange.write(map_index, records, round_number * 1000 + map_index))

    assert windows.size_bytes <= 2 * 2000 * MAPS + 2000
