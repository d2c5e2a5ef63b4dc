import pytest

from minispark.conf import SparkConf
from minispark.ids import BinaryId, ExecutorId, JobId, StageId, TaskId
from minispark.messages.cluster import KillTask, LaunchTasks, StatusUpdate, StopExecutor
from minispark.messages.scheduler import ReviveOffers
from minispark.messages.task import TaskDescription, TaskState
from minispark.scheduler.local import LocalEndpoint, LocalSchedulerBackend
from minispark.testing.builders import result_success, task_set
from minispark.testing.fakes import RecordingContext, RecordingRef
from minispark.testing.virtual_loop import run_virtual
from tests.scheduler.scheduler_harness import DRIVER, SchedulerHarness


class Local:
    """A LocalEndpoint over a real TaskScheduler, with an executor that only records."""

    def __init__(self, cores: int, task_cpus: int = 1) -> None:
        self.harness = SchedulerHarness(SparkConf().set("minispark.task.cpus", task_cpus))
        self.executor = RecordingRef("Executor")
        self.endpoint = LocalEndpoint(self.harness.scheduler, self.executor, DRIVER, "localhost", cores)

    def tell(self, message: ReviveOffers | StatusUpdate) -> None:
        self.endpoint.receive(message, RecordingContext(is_ask=False))

    def launched(self) -> list[TaskDescription]:
        return [task for message in self.executor.of(LaunchTasks) for task in message.tasks]


def finished(task: TaskDescription) -> StatusUpdate:
    return StatusUpdate(DRIVER, task.task_id, TaskState.FINISHED, result_success())


def test_no_more_tasks_are_launched_than_cores_are_free() -> None:
    async def scenario() -> None:
        local = Local(2)
        local.harness.tell(task_set(range(5)))
        local.tell(ReviveOffers())
        assert len(local.launched()) == 2
        local.tell(ReviveOffers())
        assert len(local.launched()) == 2

    run_virtual(scenario())


def test_the_end_of_a_task_launches_the_next_one_and_running_does_not() -> None:
    async def scenario() -> None:
        local = Local(1)
        local.harness.tell(task_set(range(2)))
        local.tell(ReviveOffers())
        (first,) = local.launched()
        local.tell(StatusUpdate(DRIVER, first.task_id, TaskState.RUNNING, None))
        assert len(local.launched()) == 1
        local.tell(finished(first))
        assert [task.index for task in local.launched()] == [0, 1]

    run_virtual(scenario())


def test_an_end_that_comes_twice_frees_its_core_once() -> None:
    async def scenario() -> None:
        local = Local(1)
        local.harness.tell(task_set(range(4)))
        local.tell(ReviveOffers())
        (first,) = local.launched()
        local.tell(finished(first))
        local.tell(finished(first))
        assert len(local.launched()) == 2
        assert local.endpoint.offer.cores == 0

    run_virtual(scenario())


def test_the_backend_speaks_to_endpoint_and_executor() -> None:
    async def scenario() -> None:
        executor, endpoint = RecordingRef("Executor"), RecordingRef("LocalSchedulerBackendEndpoint")
        backend = LocalSchedulerBackend(2, executor, 5.0)
        backend.revive_offers()
        backend.attach(endpoint)
        backend.revive_offers()
        assert endpoint.sent == [ReviveOffers()]
        backend.kill_task(TaskId(3), ExecutorId("driver"), True, "enough")
        assert executor.sent == [KillTask(TaskId(3), ExecutorId("driver"), True, "enough")]
        assert backend.max_concurrent_tasks == 2
        assert executor.of(StopExecutor) == []

    run_virtual(scenario())


@pytest.mark.scenario("CGB-005")
def test_an_ended_task_frees_the_cores_that_it_took() -> None:
    async def scenario() -> None:
        local = Local(5, task_cpus=2)
        local.harness.tell(task_set(range(5)))
        local.tell(ReviveOffers())
        first, _ = local.launched()
        assert local.endpoint.offer.cores == 1
        local.harness.scheduler.offers.task_cpus = 99  # nothing is launched in its place
        local.tell(finished(first))
        assert local.endpoint.offer.cores == 3

    run_virtual(scenario())


@pytest.mark.scenario("CGB-002")
def test_the_most_tasks_at_once_depend_on_cores_and_not_on_what_is_busy() -> None:
    async def scenario() -> None:
        local = Local(5, task_cpus=2)
        backend = LocalSchedulerBackend(5, local.executor, 5.0, task_cpus=2)
        assert LocalSchedulerBackend(5, local.executor, 5.0).max_concurrent_tasks == 5
        assert backend.max_concurrent_tasks == 2
        local.harness.tell(task_set(range(5)))
        local.tell(ReviveOffers())
        assert len(local.launched()) == 2
        assert backend.max_concurrent_tasks == 2

    run_virtual(scenario())


def task_description(task_id: int) -> TaskDescription:
    ids = TaskId(task_id), 0, DRIVER, JobId(1), StageId(-1), 0, 0, 0, BinaryId(1), 0, 1
    return TaskDescription(*ids, (), {}, b"")


def test_a_task_of_its_own_takes_a_free_core_and_its_end_goes_to_whoever_launched_it() -> None:
    async def scenario() -> None:
        local, ends = Local(1), list[StatusUpdate]()
        task = task_description(1 << 40)
        assert local.endpoint.launch_directly(task, ends.append)
        assert not local.endpoint.launch_directly(task_description((1 << 40) + 1), ends.append)
        assert local.launched() == [task]
        local.tell(StatusUpdate(DRIVER, task.task_id, TaskState.RUNNING, None))
        local.endpoint.kill_directly(task.task_id, True, "enough")
        assert local.executor.of(KillTask) == [KillTask(task.task_id, DRIVER, True, "enough")]
        local.tell(finished(task))
        local.tell(finished(task))
        assert ends == [finished(task)]
        assert (local.endpoint.offer.cores, local.endpoint.direct) == (1, {})

    run_virtual(scenario())
