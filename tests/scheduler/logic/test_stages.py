from minispark.ids import JobId, ShuffleId
from minispark.scheduler.logic.stage import MapStage
from minispark.scheduler.logic.stages import StageTable
from minispark.shuffle.logic.map_outputs import MapOutputs
from minispark.testing.builders import LineageBuilder, submit_job


def diamond() -> LineageBuilder:
    build = LineageBuilder()
    shared = build.shuffled(build.source(2), 3)
    build.narrow(build.shuffled(shared, 2), build.shuffled(shared, 2))
    return build


def test_stages_are_made_parents_first_and_know_each_other() -> None:
    table = StageTable(MapOutputs())
    last = table.create(submit_job(1, diamond().lineage()))
    assert list(table.by_id) == [0, 1, 2, 3]
    assert [parent.stage_id for parent in last.parents] == [1, 2]
    assert last.shuffle_ids == (1, 2)
    assert all([parent.stage_id for parent in stage.parents] == [0] for stage in last.parents)
    assert list(table.missing_partitions(table.by_shuffle[ShuffleId(0)])) == [0, 1]


def test_a_stage_goes_with_the_last_job_that_needs_it() -> None:
    table = StageTable(MapOutputs())
    lineage = diamond().lineage()
    for job_id in (1, 2):
        table.create(submit_job(job_id, lineage))
    assert len(table.by_id) == 5  # three map stages shared, two result stages
    ids = [stage.stage_id for stage in table.of_job(JobId(1))]
    assert [stage.stage_id for stage in table.release(JobId(1), ids)] == [3]
    ids = [stage.stage_id for stage in table.of_job(JobId(2))]
    gone = table.release(JobId(2), ids)
    assert sum(isinstance(stage, MapStage) for stage in gone) == 3
    assert not table.by_id
    assert not table.by_shuffle


def test_a_later_job_gets_a_new_stage_over_the_same_outputs() -> None:
    outputs = MapOutputs()
    table = StageTable(outputs)
    lineage = diamond().lineage()
    for job_id in (1, 2):
        table.create(submit_job(job_id, lineage))
        ids = [stage.stage_id for stage in table.of_job(JobId(job_id))]
        table.release(JobId(job_id), ids)
    assert table.next_id == 8
    assert ShuffleId(0) in outputs


def test_positions_are_only_kept_where_they_differ_from_the_partitions() -> None:
    table = StageTable(MapOutputs())
    whole = table.create(submit_job(1, diamond().lineage()))
    assert (whole.position_of, whole.position(1)) == (None, 1)
    part = table.create(submit_job(2, diamond().lineage(), partitions=[1]))
    assert part.position(1) == 0
    assert list(part.missing()) == [1]
