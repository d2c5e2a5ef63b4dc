from dataclasses import replace

import pytest

from minispark.conf import SparkConf
from minispark.ids import BinaryId, ExecutorId, StageId
from minispark.messages.coordination import BARRIER_ADDRESSES
from minispark.messages.scheduler import TaskStarted
from minispark.rpc.logic.codec import decode, encode
from minispark.scheduler.backend import WorkerOffer
from minispark.scheduler.launcher import LARGE_TASK_BYTES
from minispark.testing.builders import result_success, task_set
from minispark.testing.virtual_loop import run_virtual
from tests.scheduler.scheduler_harness import SchedulerHarness


class Payloads:
    """The data of binary 0's partitions is made by a function; others have none."""

    def __init__(self, harness: SchedulerHarness, sizes: dict[int, int | Exception]) -> None:
        self.sizes = sizes
        harness.scheduler.launcher.payloads = self

    def partition_data(self, binary_id: BinaryId, partition: int) -> bytes:
        size = self.sizes.get(partition, 0) if binary_id == 0 else 0
        if isinstance(size, Exception):
            raise size
        return bytes(size)


@pytest.mark.scenario("TSM-024")
@pytest.mark.scenario("TSI-010")
def test_a_task_that_cannot_be_described_gives_its_set_up_once_and_the_others_run() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        Payloads(harness, {0: TypeError("no pickle of a lock")})
        harness.tell(task_set([0, 1], job_id=0, stage_id=0))
        harness.tell(task_set([0], job_id=1, stage_id=1))
        assert [task.stage_id for task in harness.offer(4)] == [1]
        (abort,) = harness.aborts()
        assert abort.message == "task 0 in stage 0.0 cannot be sent: TypeError: no pickle of a lock"
        assert harness.offer(4) == []
        assert len(harness.aborts()) == 1
        assert list(harness.scheduler.sets_of_stage) == [StageId(1)]

    run_virtual(scenario())


@pytest.mark.scenario("CGB-001")
def test_a_task_above_the_bound_of_messages_gives_its_set_up_with_advice() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness(SparkConf().set("minispark.rpc.message.maxSize", "2m"))
        Payloads(harness, {0: 2 << 20})
        harness.tell(task_set([0]))
        assert harness.offer() == []
        (abort,) = harness.aborts()
        assert "2,097,152 bytes large, and minispark.rpc.message.maxSize allows 2,097,152" in abort.message
        assert "broadcast variable" in abort.message
        harness.scheduler.assert_empty()

    run_virtual(scenario())


@pytest.mark.scenario("TSM-049")
def test_large_tasks_are_warned_of_once_a_set_and_small_ones_never(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        Payloads(harness, {0: LARGE_TASK_BYTES, 1: LARGE_TASK_BYTES + 1, 2: LARGE_TASK_BYTES + 1})
        harness.tell(task_set([0, 1, 2]))
        assert len(harness.offer(1)) == 1
        assert caplog.text == ""
        assert len(harness.offer(2)) == 2
        assert caplog.text.count("task 1 in stage 0.0 is 1000 KiB large") == 1
        assert len(caplog.records) == 1

    run_virtual(scenario())


@pytest.mark.scenario("HIS-006", "TaskDescription")
def test_a_description_says_all_of_the_attempt_also_after_its_way_over_the_wire() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness(SparkConf().set("minispark.task.cpus", 2))
        Payloads(harness, {7: 3})
        harness.tell(task_set([7], job_id=0, stage_id=4, attempt=1))
        (task,) = harness.offer(2, "e1")
        assert (task.name, task.partition, task.executor_id) == ("task 0.0 in stage 4.1", 7, "e1")
        assert (task.cpus, task.partition_data, task.binary_id, task.properties) == (2, bytes(3), 0, {})
        body, attachments = encode(task)
        assert decode(body, attachments) == task

    run_virtual(scenario())


def test_starts_are_told_if_anybody_listens() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        harness.tell(task_set([3]))
        harness.scheduler.launcher.events = Listening()
        (task,) = harness.offer(1, "e1")
        (started,) = harness.dag.of(TaskStarted)
        assert (started.task_id, started.partition, started.executor_id) == (task.task_id, 3, "e1")

    run_virtual(scenario())


class Listening:
    """Somebody who wants to know."""

    wants_tasks = True

    def post(self, event: object) -> None:
        """Take an event."""


def test_barrier_tasks_are_told_where_all_of_them_run() -> None:
    async def scenario() -> None:
        harness = SchedulerHarness()
        submitted = task_set([4, 2])
        harness.tell(replace(submitted, is_barrier=True))
        offers = [WorkerOffer(ExecutorId("a"), "h1", 1), WorkerOffer(ExecutorId("b"), "h2", 1)]
        tasks = harness.scheduler.resource_offers(offers)
        places = {task.partition: f"{'h1' if task.executor_id == 'a' else 'h2'}:{task.executor_id}" for task in tasks}
        assert [task.properties[BARRIER_ADDRESSES] for task in tasks] == [f"{places[2]},{places[4]}"] * 2
        assert [offer.cores for offer in offers] == [0, 0]
        for task in tasks:
            harness.end(task, result_success())
        harness.scheduler.assert_empty()

    run_virtual(scenario())
