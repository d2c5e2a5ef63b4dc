from dataclasses import replace

from minispark.ids import BinaryId, JobId, RddId, ShuffleId
from minispark.messages.task import Lineage, MapStatus, ShuffleDependencyInfo
from minispark.scheduler.logic.stage import MapStage, ResultStage
from minispark.scheduler.logic.stages import StageTable
from minispark.shuffle.logic.map_outputs import MapOutputs
from minispark.testing.builders import LineageBuilder, map_success, submit_job


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
    first, second = (table.create(submit_job(job_id, lineage)) for job_id in (1, 2))
    assert len(table.by_id) == 5  # three map stages shared, two result stages
    ids = [stage.stage_id for stage in table.up_from(first)]
    assert ids == [0, 1, 2, 3]
    assert [stage.stage_id for stage in table.release(JobId(1), ids)] == [3]
    ids = [stage.stage_id for stage in table.up_from(second)]
    assert ids == [0, 1, 2, 4]
    gone = table.release(JobId(2), ids)
    assert sum(isinstance(stage, MapStage) for stage in gone) == 3
    assert not table.by_id
    assert not table.by_shuffle


def test_a_later_job_gets_a_new_stage_over_the_same_outputs() -> None:
    outputs = MapOutputs()
    table = StageTable(outputs)
    lineage = diamond().lineage()
    for job_id in (1, 2):
        last = table.create(submit_job(job_id, lineage))
        ids = [stage.stage_id for stage in table.up_from(last)]
        table.release(JobId(job_id), ids)
    assert table.next_id == 8
    assert ShuffleId(0) in outputs


def test_positions_are_only_kept_where_they_differ_from_the_partitions() -> None:
    table = StageTable(MapOutputs())
    whole = table.create(submit_job(1, diamond().lineage()))
    assert isinstance(whole, ResultStage)
    assert (whole.position_of, whole.position(1)) == (None, 1)
    part = table.create(submit_job(2, diamond().lineage(), partitions=[1]))
    assert isinstance(part, ResultStage)
    assert part.position(1) == 0
    assert list(part.missing()) == [1]


def test_what_follows_from_a_stage_is_all_that_reads_it_and_nothing_else() -> None:
    table = StageTable(MapOutputs())
    build = diamond()
    table.create(submit_job(1, build.lineage()))
    aside = LineageBuilder()
    aside.next_shuffle = 50
    aside.shuffled(aside.source(2), 2)
    table.create(submit_job(2, aside.lineage()))
    assert [[later.stage_id for later in table.succeeding(stage)] for stage in table.by_id.values()] == [
        [1, 2, 3],
        [3],
        [3],
        [],
        [5],
        [],
    ]


def test_a_job_needs_the_stages_above_that_are_not_complete() -> None:
    outputs = MapOutputs()
    table = StageTable(outputs)
    final = table.create(submit_job(1, diamond().lineage()))
    first, left, right = (table.by_shuffle[ShuffleId(number)] for number in range(3))
    assert all(table.needs(final, stage) for stage in (final, first, left, right))
    complete(outputs, left)
    assert table.needs(final, first)  # the right one is still to read it
    complete(outputs, right)
    assert table.needs(final, left)
    assert not table.needs(final, first)
    assert not table.needs(left, right)


def complete(outputs: MapOutputs, stage: MapStage) -> None:
    for map_index in range(stage.num_partitions):
        status = map_success(map_index, reducers=stage.num_reducers).result
        assert isinstance(status, MapStatus)
        outputs.register(stage.shuffle_id, status)


def test_stages_know_the_lineage_of_the_latest_job_over_them() -> None:
    table = StageTable(MapOutputs())
    table.create(submit_job(1, diamond().lineage()))
    stage = table.by_shuffle[ShuffleId(0)]
    before = stage.lineage
    table.create(submit_job(2, diamond().lineage()))
    assert before is not None
    assert stage.lineage is not None
    assert stage.lineage is not before


def test_a_stage_whose_lineage_was_cut_computes_what_the_later_job_says() -> None:
    def lineage(binary_id: int, is_cut: bool) -> Lineage:
        build = LineageBuilder()
        source = build.source(2)
        build.shuffled(source if is_cut else build.shuffled(source, 2), 2)
        whole = build.lineage()
        last = whole.nodes[-1]
        (dependency,) = last.dependencies
        assert isinstance(dependency, ShuffleDependencyInfo)
        changed = replace(dependency, shuffle_id=ShuffleId(9), binary_id=BinaryId(binary_id))
        return Lineage((*whole.nodes[:-1], replace(last, dependencies=(changed,))))

    table = StageTable(MapOutputs())
    table.create(submit_job(1, lineage(50, is_cut=False)))
    stage = table.by_shuffle[ShuffleId(9)]
    assert len(stage.parents) == 1
    stage.rdd_id = RddId(0)  # what is the second RDD of one lineage is the first of the other
    table.create(submit_job(2, lineage(51, is_cut=True)))
    assert (stage.binary_id, stage.parents, stage.shuffle_ids) == (51, [], ())
