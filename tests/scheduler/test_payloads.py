from minispark.ids import AccumulatorId, ExecutorId, ShuffleId, TaskId
from minispark.messages.cluster import StatusUpdate
from minispark.messages.scheduler import ResultFetched, ShuffleForgotten, SubmitTaskSet
from minispark.messages.task import AccumulatorUpdate, DirectResult, ExceptionFailure, Success, TaskMetrics, TaskState
from minispark.scheduler.payloads import without_payloads
from minispark.testing.builders import map_success, task_set

METRICS = TaskMetrics(result_size_bytes=6)


def test_results_and_accumulators_go_and_sizes_stay() -> None:
    success = Success(DirectResult(True, (b"secret", b"data")), METRICS, (AccumulatorUpdate(AccumulatorId(3), b"x"),))
    update = StatusUpdate(ExecutorId("e"), TaskId(1), TaskState.FINISHED, success)

    bare = without_payloads(update)

    assert bare.outcome == Success(DirectResult(True, ()), METRICS, (AccumulatorUpdate(AccumulatorId(3), b""),))
    assert success.result == DirectResult(True, (b"secret", b"data"))


def test_a_pickled_exception_goes_and_its_text_stays() -> None:
    failure = ExceptionFailure("ValueError", "boom", "", "", b"pickle", METRICS)
    bare = without_payloads(StatusUpdate(ExecutorId("e"), TaskId(1), TaskState.FAILED, failure)).outcome
    assert (bare.description, bare.exception) == ("boom", b"")


def test_what_schedulers_decide_by_stays() -> None:
    submitted: SubmitTaskSet = task_set([3, 4])
    status = StatusUpdate(ExecutorId("e"), TaskId(1), TaskState.FINISHED, map_success(0, reducers=3))
    assert without_payloads(submitted) == submitted
    assert without_payloads(status) == status
    assert without_payloads(ShuffleForgotten(ShuffleId(1))) == ShuffleForgotten(ShuffleId(1))


def test_a_field_that_is_empty_stays_so() -> None:
    assert without_payloads(ResultFetched(TaskId(1), None)) == ResultFetched(TaskId(1), None)
