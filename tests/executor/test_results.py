import pickle
from pathlib import Path
from typing import Any

import pytest

from minispark.errors import PicklingError
from minispark.executor.results import ResultLimits, serialise
from minispark.ids import TaskId
from minispark.messages.task import DirectResult, IndirectResult
from tests.executor.attempts import conf


def made(value: Any, directory: Path, *, direct: int = 1000, total: int = 0) -> DirectResult | IndirectResult:
    return serialise(value, TaskId(7), ResultLimits(direct, total), str(directory))


def test_a_small_result_travels_along(tmp_path: Path) -> None:
    assert made({"a": 1}, tmp_path) == DirectResult(False, (pickle.dumps({"a": 1}, 5),))
    assert made([], tmp_path) == DirectResult(True, ())
    assert list(tmp_path.iterdir()) == []


def test_a_large_list_is_left_as_batches_in_a_file(tmp_path: Path) -> None:
    records = list(range(5000))

    result = made(records, tmp_path, direct=3000)

    assert isinstance(result, IndirectResult)
    assert result.path == str(tmp_path / "blocks" / "taskresult_7")
    data, found = Path(result.path).read_bytes(), list[int]()
    assert result.size_bytes == sum(result.batch_sizes) == len(data)
    for size in result.batch_sizes:
        found += pickle.loads(data[:size])
        data = data[size:]
    assert found == records


def test_a_large_value_is_left_whole_in_a_file(tmp_path: Path) -> None:
    result = made("x" * 5000, tmp_path)

    assert isinstance(result, IndirectResult)
    assert not result.rows
    assert pickle.loads(Path(result.path).read_bytes()) == "x" * 5000


@pytest.mark.parametrize("value", ["x" * 5000, ["x" * 1000] * 5])
def test_a_result_above_the_bound_is_dropped_and_only_its_size_told(tmp_path: Path, value: Any) -> None:
    result = made(value, tmp_path, direct=10, total=20)

    assert isinstance(result, IndirectResult)
    assert result.size_bytes > 20
    assert (result.path, result.batch_sizes) == ("", ())
    assert list((tmp_path / "blocks").iterdir()) == []


def test_a_result_that_cannot_be_pickled_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(PicklingError):
        made([*["x" * 1000] * 5000, (letter for letter in "")], tmp_path, direct=10)

    assert list((tmp_path / "blocks").iterdir()) == []


def test_functions_can_be_results(tmp_path: Path) -> None:
    result = made([lambda: 5], tmp_path, direct=10_000)

    assert isinstance(result, DirectResult)
    assert pickle.loads(result.batches[0])[0]() == 5


def test_no_result_is_sent_along_that_no_frame_could_hold() -> None:
    limits = ResultLimits.of(conf(rpc_message_maxSize="1m", task_maxDirectResultSize="5m"))

    assert limits.direct < 1 << 20
    assert limits.total == 1 << 30
