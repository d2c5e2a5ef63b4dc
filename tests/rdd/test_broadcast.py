import gc
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

from minispark.errors import ContextError, PicklingError
from minispark.ids import BroadcastId
from minispark.messages.runner import BroadcastFile, RunnerReply, RunnerRequest
from minispark.rdd import runner_side, sources
from minispark.rdd.broadcast import Broadcast, dump_value, make_broadcast, new_id, read_file, values
from minispark.storage.broadcast_file import write_file
from minispark.testing.serial import SerialJobRunner

FIRST_PAGE = 4096


def write_value(path: str, value: object) -> None:
    write_file(path, *dump_value(value))


class Home:
    """The driver's side, which keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.closed = False

    async def unpersist_broadcast(self, broadcast_id: BroadcastId) -> None:
        self.told.append(("unpersist", broadcast_id))

    async def destroy_broadcast(self, broadcast_id: BroadcastId, destroyed: str) -> None:
        self.told.append(("destroy", broadcast_id, destroyed))

    def drop_broadcast(self, broadcast_id: BroadcastId) -> None:
        self.told.append(("drop", broadcast_id))


class Buffered:
    """Pickles its content apart, as an array does."""

    def __init__(self, content: Any) -> None:
        self.content = content

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Buffered, (pickle.PickleBuffer(self.content),)


def drive(coroutine: Any) -> None:
    with pytest.raises(StopIteration):
        coroutine.send(None)


def in_task(broadcast: Broadcast[Any]) -> Broadcast[Any]:
    """Return what a task has: made as if by a driver elsewhere."""
    return Broadcast(broadcast.broadcast_id, broadcast.call_site)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[RunnerRequest]:
    """Make this a runner whose executor has broadcasts in files; the questions that it was asked."""
    requests: list[RunnerRequest] = []

    def answer(request: RunnerRequest) -> RunnerReply:
        requests.append(request)
        return BroadcastFile(str(tmp_path / "value"))

    monkeypatch.setattr(runner_side, "asker", answer)
    return requests


@pytest.mark.parametrize("value", [None, {"a": [1, 2]}, b"", b"few", bytes(100_000), lambda x: x + 1])
def test_a_value_is_read_as_it_was_written(tmp_path: Path, value: Any) -> None:
    write_value(str(tmp_path / "value"), value)

    found = read_file(str(tmp_path / "value"))

    assert type(found) is type(value)
    assert found(1) == 2 if callable(found) else found == value


def test_large_buffers_are_views_of_the_mapping_and_cannot_be_changed(tmp_path: Path) -> None:
    write_value(str(tmp_path / "value"), [Buffered(b"x" * FIRST_PAGE), Buffered(b"small")])

    large, small = read_file(str(tmp_path / "value"))

    assert bytes(large.content) == b"x" * FIRST_PAGE
    assert memoryview(large.content).readonly
    assert memoryview(large.content).nbytes == FIRST_PAGE
    assert bytes(small.content) == b"small"


@pytest.mark.scenario("BRD-003", "lazily fetched")
def test_a_task_fetches_the_value_when_it_reads_it_and_once(tmp_path: Path, asked: list[RunnerRequest]) -> None:
    made = make_broadcast(new_id(), {"a": 1}, Home())
    write_value(str(tmp_path / "value"), {"a": 1})
    one, other = in_task(made), in_task(made)
    assert asked == []

    assert one.value == {"a": 1}
    assert other.value is one.value
    assert len(asked) == 1
    runner_side.forget([made.broadcast_id])
    assert one.value == {"a": 1}
    assert len(asked) == 2


def test_a_file_that_went_before_it_was_read_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_broadcast(new_id(), 7, Home())
    write_value(str(tmp_path / "again"), 7)
    answers = [BroadcastFile(str(tmp_path / "gone")), BroadcastFile(str(tmp_path / "again"))]
    monkeypatch.setattr(runner_side, "asker", lambda request: answers.pop(0))

    assert in_task(made).value == 7


def test_threads_of_a_task_get_one_value(tmp_path: Path, asked: list[RunnerRequest]) -> None:
    made = make_broadcast(new_id(), [1], Home())
    write_value(str(tmp_path / "value"), [1])
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(in_task(made).value)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(asked) == 1
    assert len({id(value) for value in found}) == 1
    values.forget([made.broadcast_id])


def test_in_the_driver_the_value_is_the_object_itself_and_comes_back_as_itself() -> None:
    value = {"a": 1}
    made = make_broadcast(new_id(), value, Home())

    assert made.value is value
    assert pickle.loads(pickle.dumps(made)) is made


@pytest.mark.scenario("BRD-004", "use after destroy names the destroy call site")
def test_a_destroyed_broadcast_says_where_it_was_destroyed() -> None:
    home = Home()
    made = make_broadcast(new_id(), 1, home)
    drive(made.unpersist())

    drive(made.destroy())
    drive(made.destroy())

    told = ["unpersist", "destroy"]
    assert [word for word, *_ in home.told] == told
    for use in (lambda: made.value, lambda: made.unpersist().send(None)):
        with pytest.raises(ContextError, match=r"was destroyed at test_broadcast\.py:\d+"):
            use()
    with pytest.raises(PicklingError, match=r"was destroyed at test_broadcast\.py:\d+"):
        pickle.dumps(made)


def test_a_broadcast_of_a_context_that_stopped_does_not_go_to_tasks() -> None:
    home = Home()
    made = make_broadcast(new_id(), 1, home)

    home.closed = True

    with pytest.raises(PicklingError, match="belongs to a SparkContext that was stopped"):
        pickle.dumps(made)
    assert made.value == 1


def test_a_task_cannot_remove_a_broadcast() -> None:
    copy = in_task(make_broadcast(new_id(), 1, Home()))

    for call in (copy.unpersist, copy.destroy):
        with pytest.raises(ContextError, match="in a task: only the driver"):
            call().send(None)


def test_a_broadcast_that_nothing_refers_to_is_dropped() -> None:
    home = Home()
    made = make_broadcast(new_id(), 1, home)
    broadcast_id = made.broadcast_id

    del made
    gc.collect()

    assert home.told == [("drop", broadcast_id)]


@pytest.mark.scenario("BRD-004", "broadcasting an RDD refused")
def test_an_rdd_cannot_be_broadcast(tmp_path: Path) -> None:
    rdd = sources.parallelize(SerialJobRunner(), [1], 1)

    with pytest.raises(ContextError, match="cannot be broadcast: collect it"):
        write_value(str(tmp_path / "value"), rdd)

    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_pickled_is_named(tmp_path: Path) -> None:
    with pytest.raises(PicklingError, match="lock"):
        write_value(str(tmp_path / "value"), {"key": threading.Lock()})
