import pytest

from minispark.ids import ExecutorId
from minispark.messages.task import Resubmitted
from minispark.testing.builders import (
    LineageBuilder,
    fetch_failed,
    map_success,
    submit_job,
)
from tests.scheduler.logic.dag_harness import dag, places, two_stages, write_on


@pytest.mark.scenario("DAG-035")
def test_a_lost_executor_loses_its_outputs_once() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages(maps=3).lineage()))
        write_on(harness, "aba")
        reduces = harness.last
        harness.lose_executor("a")
        assert places(harness) == ["-", "b", "-"]
        epoch = harness.map_outputs.epoch
        harness.end(reduces, 0, fetch_failed(0, 0, executor="a"))
        harness.end(reduces, 1, fetch_failed(0, 2, executor="a"))
        assert harness.map_outputs.epoch == epoch  # what came late told nothing new
        harness.state.cancellation.cancel_all("enough")


@pytest.mark.scenario("DAG-036")
def test_a_fetch_failure_drops_outputs_that_a_shuffle_service_had_kept_of_a_lost_executor() -> None:
    with dag(shuffle_service=True) as harness:
        harness.submit(submit_job(1, two_stages(maps=3).lineage()))
        maps = harness.last
        write_on(harness, "aba")
        harness.lose_executor("a")
        assert places(harness) == ["a", "b", "a"]
        assert harness.last.epoch > maps.epoch
        harness.end(harness.last, 0, fetch_failed(0, 0, executor="a"))
        assert places(harness) == ["-", "b", "-"]
        harness.state.cancellation.cancel_all("enough")


@pytest.mark.parametrize(
    ("service", "worker_lost", "left"),
    [
        pytest.param(True, False, "ABc", marks=[
            pytest.mark.scenario("DAG-037", "process lost + shuffle service → kept"),
            pytest.mark.scenario("DAG-037", "executor killed + service → kept"),
        ]),
        pytest.param(True, True, "--c", marks=pytest.mark.scenario(
            "DAG-037", "worker lost + service → whole host lost")),
        pytest.param(False, True, "--c", marks=pytest.mark.scenario("DAG-037", "worker lost without service → lost")),
        pytest.param(False, False, "-Bc", marks=pytest.mark.scenario("DAG-037", "killed without → lost")),
    ],
)  # fmt: skip
def test_what_is_lost_with_an_executor_and_its_host(service: bool, worker_lost: bool, left: str) -> None:
    with dag(shuffle_service=service) as harness:
        harness.submit(submit_job(1, two_stages(maps=3).lineage()))
        write_on(harness, "ABc")
        harness.lose_executor("A", host="far", worker_lost=worker_lost)
        assert "".join(places(harness)) == left
        harness.state.cancellation.cancel_all("enough")


@pytest.mark.scenario("DAG-038")
def test_reliable_storage_loses_nothing_with_a_worker() -> None:
    with dag(reliable_storage=True) as harness:
        harness.submit(submit_job(1, two_stages(maps=3).lineage()))
        write_on(harness, "ABc")
        harness.lose_executor("A", host="far", worker_lost=True)
        assert places(harness) == ["A", "B", "c"]
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


@pytest.mark.parametrize(
    ("service", "host_goes", "by_host", "left"),
    [
        (True, False, True, "--c"),
        (False, True, True, "--c"),
        (True, False, False, "-Bc"),
        (False, False, True, "-Bc"),
    ],
)
def test_a_fetch_failure_takes_the_host_where_outputs_go_with_it(
    service: bool, host_goes: bool, by_host: bool, left: str
) -> None:
    with dag(shuffle_service=service, unregister_on_host=by_host) as harness:
        harness.submit(submit_job(1, two_stages(maps=3).lineage()))
        write_on(harness, "ABc")
        harness.decommission("A", host="far", host_too=host_goes)
        harness.end(harness.last, 0, fetch_failed(0, 0, executor="A", host="far"))
        assert "".join(places(harness)) == left
        harness.state.cancellation.cancel_all("enough")


def test_an_executor_that_came_back_can_be_lost_again() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        harness.lose_executor("a")  # with nothing that it wrote, so that no later epoch begins
        harness.state.recovery.executor_added(ExecutorId("a"))
        harness.end(harness.last, 0, map_success(0, executor="a", reducers=2), "a")
        assert places(harness) == ["a", "-"]
        harness.lose_executor("a")
        assert places(harness) == ["-", "-"]
        harness.state.cancellation.cancel_all("enough")


@pytest.mark.scenario("DAG-039")
def test_the_stage_waits_for_the_task_whose_output_went_with_its_executor() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        maps = harness.last
        harness.end(maps, 0, map_success(0, executor="a", reducers=2), "a")
        harness.lose_executor("a")
        harness.end(maps, 0, Resubmitted(), "a")
        harness.end(maps, 1, map_success(1, executor="b", reducers=2), "b")
        assert harness.last is maps
        assert places(harness) == ["-", "b"]
        harness.end(maps, 0, map_success(0, executor="b", reducers=2), "b")
        assert places(harness) == ["b", "b"]
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


def test_a_resubmission_of_an_older_attempt_is_not_waited_for() -> None:
    with dag() as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        old = harness.last
        write_on(harness, "ab")
        harness.end(harness.last, 0, fetch_failed(0, 0, executor="a", only_this=True))
        harness.resubmit()
        assert harness.partitions(harness.last) == [0]
        harness.end(old, 1, Resubmitted(), "b")
        write_on(harness, "b")
        assert harness.last.stage_id == 1
        harness.end_all_results(harness.last)


@pytest.mark.scenario("DAG-040")
def test_outputs_lost_between_map_and_reduce_are_found_before_the_reduce_runs() -> None:
    with dag() as harness:
        build = LineageBuilder()
        left, right = build.shuffled(build.source(2), 2), build.shuffled(build.source(2), 2)
        build.narrow(left, right)
        harness.submit(submit_job(1, build.lineage()))
        write_on(harness, "ab", harness.sets[0])
        harness.lose_executor("a")  # while the other map stage runs
        write_on(harness, "bb", harness.sets[1])
        assert (harness.last.stage_id, harness.partitions(harness.last)) == (0, [0])
        write_on(harness, "b")
        assert not harness.last.is_map_stage
        harness.end_all_results(harness.last)
        assert harness.succeeded() == [1]


@pytest.mark.scenario("DAG-042")
def test_a_map_stage_that_keeps_losing_its_output_is_given_up() -> None:
    with dag(max_attempts=3) as harness:
        harness.submit(submit_job(1, two_stages().lineage()))
        for attempt, executor in enumerate("abc"):
            assert (harness.last.stage_id, harness.last.stage_attempt) == (0, attempt)
            harness.lose_executor(executor)  # whatever it writes from now on is not trusted
            for index, partition in enumerate(harness.partitions(harness.last)):
                done = map_success(partition, executor=executor, reducers=2)
                harness.end(harness.sets[attempt], index, done, executor)
        assert "attempted 3 times" in harness.failed()[1]
