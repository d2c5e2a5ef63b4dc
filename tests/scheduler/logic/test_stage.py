from minispark.ids import BinaryId, JobId, RddId, StageId
from minispark.messages.task import Lineage, LineageNode, TaskMetrics
from minispark.scheduler.logic.lineage import CutLineage
from minispark.scheduler.logic.stage import MapStage, PartitionSet, ResultStage, StageAttempt

LINEAGE = CutLineage(Lineage((LineageNode(RddId(0), "map", 1, (), "app.py:7"),)))


def test_a_stage_describes_its_latest_attempt() -> None:
    stage = MapStage(StageId(3), RddId(1), "map at app.py:7", "app.py:7", 4, BinaryId(0), [], (), JobId(0), LINEAGE)
    assert (stage.info().num_tasks, stage.info().attempt, stage.info().is_map_stage) == (4, 0, True)
    stage.attempt = StageAttempt(2, 1, 5.0)
    stage.attempt.add(TaskMetrics(run_time_ns=3, spilled_bytes=1))
    stage.attempt.add(TaskMetrics(run_time_ns=4))
    info = stage.info()
    assert (info.attempt, info.num_tasks, info.submitted_s) == (2, 1, 5.0)
    assert (info.completed_s, info.failure) == (0.0, "")  # it still runs
    assert (info.metrics.run_time_ns, info.metrics.spilled_bytes) == (7, 1)


def test_a_result_stage_knows_what_is_missing() -> None:
    stage = ResultStage(StageId(0), RddId(0), "count", "app.py:1", 3, BinaryId(0), [], (), JobId(0), LINEAGE)
    stage.partitions.extend([2, 0])
    stage.position_of = {2: 0, 0: 1}
    stage.finished = bytearray(2)
    assert list(stage.missing()) == [2, 0]
    stage.finished[stage.position(2)] = stage.num_finished = 1
    assert list(stage.missing()) == [0]


def test_a_set_of_partitions_counts_each_once() -> None:
    every, some = PartitionSet(range(3), 3), PartitionSet([0, 2], 3)
    some.add(2)
    some.discard(1)
    assert [len(every), len(some), 1 in every, 1 in some, 2 in some] == [3, 2, True, False, True]
    for partition in (0, 2, 2):
        some.discard(partition)
    assert not some
    assert every


def test_the_metrics_of_tasks_are_summed_up_and_of_their_peaks_the_largest_counts() -> None:
    attempt = StageAttempt(0, 2, 5.0)
    for peak in (30, 50, 40):
        attempt.add(TaskMetrics(run_time_ns=10, spilled_bytes=1, peak_memory_bytes=peak))

    assert attempt.metrics() == TaskMetrics(run_time_ns=30, spilled_bytes=3, peak_memory_bytes=50)
