import os
from pathlib import Path

import pytest

from minispark.errors import FetchFailedError, TaskKilled
from minispark.messages.task import FetchFailed
from minispark.shuffle.files import map_output_paths
from minispark.shuffle.logic.map_outputs import MapOutputs
from tests.shuffle.outputs import SHUFFLE, Exchange, dependency, session

PAIRS = [("a", 1), ("b", 2), ("c", 3)]


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    """One reducer over two maps that were written."""
    exchange = Exchange(session(tmp_path / "session"), dependency(1))
    exchange.write_all(PAIRS, PAIRS)
    return exchange


def data_of(exchange: Exchange, map_index: int) -> Path:
    status = exchange.table.of(SHUFFLE).statuses[map_index]
    assert status is not None
    return Path(map_output_paths(exchange.location.directory, SHUFFLE, status.map_id)[0])


def failure_of(exchange: Exchange) -> FetchFailed:
    with pytest.raises(FetchFailedError) as raised:
        exchange.read(0)
    assert exchange.attempt.failures == [raised.value], "the attempt is told, even if user code hides the error"
    assert isinstance(raised.value.failure, FetchFailed)
    return raised.value.failure


def test_a_missing_file_names_the_map_to_run_again(exchange: Exchange) -> None:
    data_of(exchange, 1).unlink()

    failure = failure_of(exchange)

    assert (failure.location, failure.shuffle_id, failure.reduce_id) == (exchange.location, SHUFFLE, 0)
    assert (failure.map_id, failure.map_index) == (101, 1)
    assert failure.only_this_output


def test_a_cut_off_file_names_the_map_to_run_again(exchange: Exchange) -> None:
    os.truncate(data_of(exchange, 0), 5)

    failure = failure_of(exchange)

    assert failure.map_index == 0
    assert "5 bytes instead of" in failure.message


@pytest.mark.scenario("SHF-006")
def test_a_flipped_byte_is_diagnosed_as_damage_on_disk(exchange: Exchange) -> None:
    path = data_of(exchange, 0)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    failure = failure_of(exchange)

    assert "damaged on disk" in failure.message
    assert failure.only_this_output


@pytest.mark.scenario("HIS-005", "ShuffleBlockFetcherIterator (non-push)")
def test_a_directory_that_cannot_be_opened_is_blamed_as_a_whole(exchange: Exchange) -> None:
    Path(exchange.location.directory, "token").unlink()

    failure = failure_of(exchange)

    assert failure.location == exchange.location
    assert not failure.only_this_output
    assert "is not on this host" in failure.message


def test_a_missing_status_is_a_failure_without_a_map(exchange: Exchange) -> None:
    exchange.table.unregister(SHUFFLE, 1, exchange.location)

    failure = failure_of(exchange)

    assert (failure.location, failure.map_index) == (None, -1)
    assert "map 1 is missing" in failure.message


def test_an_unknown_shuffle_is_a_failure_without_a_map(exchange: Exchange) -> None:
    exchange.table = MapOutputs()

    assert failure_of(exchange).map_index == -1


@pytest.mark.scenario("HIS-005", "ShuffleBlockFetcherIterator (non-push)")
def test_a_reader_stops_between_batches_when_its_task_is_killed(exchange: Exchange) -> None:
    records = exchange.access(7).read(exchange.shuffle, 0)
    exchange.attempt.killed_after = 1

    with pytest.raises(TaskKilled):
        list(records)
    assert exchange.attempt.metrics.shuffle_read_records == 3


def test_nothing_is_read_before_the_first_pair_is_asked_for(exchange: Exchange) -> None:
    records = exchange.access(7).read(exchange.shuffle, 0)
    assert exchange.attempt.metrics.shuffle_read_records == 0

    assert next(records) == ("a", 1)
    assert exchange.attempt.metrics.shuffle_read_records == 3
