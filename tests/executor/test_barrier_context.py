from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from minispark.errors import BarrierError, ContextError, MiniSparkError
from minispark.executor.barrier_context import BarrierTaskContext, BarrierTaskInfo
from minispark.executor.cooperative import CooperativeBracket
from minispark.executor.current_task import set_current
from minispark.ids import StageId, TaskId
from minispark.messages.coordination import BARRIER_ADDRESSES, BarrierSynced, RequestToSync
from minispark.messages.runner import RunnerReply, RunnerRequest
from minispark.rdd.ports import MutableTaskMetrics
from tests.executor.attempts import task


class Others:
    """Answers a task's syncs, and keeps them."""

    def __init__(self, *answers: BarrierSynced | MiniSparkError) -> None:
        self.answers = list(answers)
        self.asked: list[RunnerRequest] = []

    def ask(self, request: RunnerRequest) -> RunnerReply:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, MiniSparkError):
            raise answer
        return answer


def no_shuffle(context: Any) -> Any:
    raise AssertionError("nobody shuffles here")


@contextmanager
def barrier_task(*answers: BarrierSynced | MiniSparkError, alone: bool = False) -> Iterator[tuple[Any, Others]]:
    """Give the context of a task of partition 1, as user code finds it, and what its syncs are."""
    others = Others(*answers)
    description = task(9, partition=1, properties={BARRIER_ADDRESSES: "a:1,b:2,a:3"})
    context = BarrierTaskContext(
        description, MutableTaskMetrics(), CooperativeBracket(), no_shuffle, None if alone else others.ask
    )
    set_current(context)
    try:
        yield BarrierTaskContext.get(), others
    finally:
        set_current(None)


def sync(epoch: int, kind: Any, message: str = "") -> RequestToSync:
    return RequestToSync(StageId(2), 3, TaskId(9), 1, epoch, kind, message)


@pytest.mark.scenario("BAR-004")
def test_each_sync_has_the_next_number() -> None:
    answers = BarrierSynced(("", "", "")), BarrierSynced(("x", "y", "z")), BarrierSynced(("", "", ""))
    with barrier_task(*answers) as (context, others):
        assert context.barrier() is None
        assert context.all_gather("y") == ["x", "y", "z"]
        assert context.barrier() is None
        assert others.asked == [sync(0, "barrier"), sync(1, "all_gather", "y"), sync(2, "barrier")]


@pytest.mark.scenario("BAR-002", "40932: result not overwritten by the next barrier call (copy!)")
def test_what_was_gathered_stays_as_it_is_when_the_next_sync_comes() -> None:
    with barrier_task(BarrierSynced(("x", "y")), BarrierSynced(("", ""))) as (context, _):
        gathered = context.all_gather("y")
        gathered.append("mine")
        context.barrier()
        assert gathered == ["x", "y", "mine"]


def test_a_sync_that_failed_is_not_counted_and_says_why() -> None:
    with barrier_task(MiniSparkError("nobody came"), BarrierSynced(("",))) as (context, others):
        with pytest.raises(BarrierError, match=r"^nobody came$"):
            context.barrier()
        context.barrier()
        assert others.asked == [sync(0, "barrier")] * 2


def test_what_the_driver_says_of_a_sync_that_failed_is_the_error_word_for_word() -> None:
    with barrier_task(BarrierSynced((), "too late"), BarrierSynced(("",))) as (context, others):
        with pytest.raises(BarrierError, match=r"^too late$"):
            context.barrier()
        context.barrier()
        assert others.asked == [sync(0, "barrier")] * 2


def test_an_error_of_the_pool_is_left_as_it_is() -> None:
    error = BarrierError("not in this pool")
    with barrier_task(error) as (context, _), pytest.raises(BarrierError) as raised:
        context.barrier()
    assert raised.value is error


def test_only_texts_can_be_gathered() -> None:
    with barrier_task() as (context, _), pytest.raises(TypeError, match="takes a str, not bytes: b'x'"):
        context.all_gather(b"x")


def test_a_task_knows_where_all_tasks_of_its_stage_run() -> None:
    with barrier_task() as (context, _):
        assert context.get_task_infos() == [("a", "1"), ("b", "2"), ("a", "3")]
        assert context.get_task_infos()[1] == BarrierTaskInfo(address="b", executor_id="2")
        assert context.partition_id == 1


def test_without_a_runner_there_is_nobody_to_wait_for() -> None:
    with barrier_task(alone=True) as (context, _), pytest.raises(BarrierError, match="no other tasks here"):
        context.barrier()


def test_outside_of_a_barrier_task_there_is_no_such_context() -> None:
    with pytest.raises(ContextError, match="no barrier task runs on this thread"):
        BarrierTaskContext.get()
