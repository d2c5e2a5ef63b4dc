"""What counts for accumulators when slow tasks are tried twice: real schedulers over simulated executors."""

from dataclasses import replace

import pytest

from minispark.ids import AccumulatorId
from minispark.messages.task import AccumulatorUpdate, Success, TaskDescription, TaskKilled, TaskOutcome
from minispark.testing.scripted_tasks import SimulatedExecutor
from tests.scheduler.test_speculations import Case, LateFirst, settings


class Adding(LateFirst):
    """Each attempt adds its partition's number, also the one that is done before its kill arrives."""

    def outcome(self, task: TaskDescription, executor: SimulatedExecutor) -> TaskOutcome:
        outcome = super().outcome(task, executor)
        assert isinstance(outcome, Success)
        return replace(outcome, accumulators=(AccumulatorUpdate(AccumulatorId(0), b"%d" % task.partition),))


@pytest.mark.scenario("DAG-059")
@pytest.mark.scenario("DAG-060")
def test_an_attempt_that_is_done_before_its_kill_reaches_it_adds_nothing_to_a_result() -> None:
    script = Adding()
    case = Case(script=script, conf=settings(efficiency_enabled=False))
    counted: list[int] = []
    case.cluster.dag.count_updates = lambda updates: counted.extend(int(bytes(each.value)) for each in updates)

    job = case.submit(6)
    case.run()

    assert job.failure is None
    assert script.finished.count((0, 0)) == script.finished.count((0, 1)) == 1
    first, last = case.ends(0)
    assert isinstance(first, Success)
    assert isinstance(last, TaskKilled)
    assert sorted(counted) == [0, 1, 2, 3, 4, 5]
