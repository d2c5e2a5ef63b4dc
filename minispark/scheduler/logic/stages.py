"""The table of stages that active jobs need: made from lineages, shared by jobs, removed with the last of them."""

from array import array
from collections.abc import Iterable, Sequence
from operator import eq

from minispark.ids import JobId, ShuffleId, StageId
from minispark.messages.scheduler import JobSubmitted, unpack_integers
from minispark.messages.task import LineageNode, ShuffleDependencyInfo
from minispark.scheduler.logic.lineage import CutLineage
from minispark.scheduler.logic.stage import MapStage, ResultStage, Stage
from minispark.shuffle.logic.map_outputs import MapOutputs

__all__ = ["StageTable"]


class StageTable:
    """Which stages there are; parents have lower ids than their children.

    A later job over the same shuffle gets a new stage id but reuses the outputs: its stage is skipped.

    Args:
        map_outputs: new shuffles are registered there.
    """

    def __init__(self, map_outputs: MapOutputs) -> None:
        self.map_outputs = map_outputs
        self.by_id: dict[StageId, Stage] = {}
        self.by_shuffle: dict[ShuffleId, MapStage] = {}
        self.next_id = 0

    def create(self, job: JobSubmitted) -> ResultStage | MapStage:
        """Make a job's last stage and whatever map stages above it do not exist yet."""
        lineage = CutLineage(job.lineage)
        for dependency in lineage.shuffles.values():
            if dependency.shuffle_id not in self.by_shuffle:
                self.create_map_stage(lineage, dependency, job.job_id)
        if job.map_side is not None:
            if job.map_side.shuffle_id not in self.by_shuffle:
                self.create_map_stage(lineage, job.map_side, job.job_id)
            last = self.by_shuffle[job.map_side.shuffle_id]
            last.map_jobs[job.job_id] = None
            last.lineage = lineage
            self.claim(last, lineage, job.job_id)
            return last
        stage = self.create_result_stage(lineage, job)
        self.claim(stage, lineage, job.job_id)
        return stage

    def create_result_stage(self, lineage: CutLineage, job: JobSubmitted) -> ResultStage:
        """Make the stage that gives a job's results; those of its parents exist."""
        node = lineage.last
        partitions = unpack_integers(job.partitions)
        stage = ResultStage(
            self.take_id(),
            node.rdd_id,
            job.name,
            node.call_site,
            node.num_partitions,
            job.binary_id,
            self.parents(lineage, node),
            lineage.parents_of[node.rdd_id],
            job.job_id,
            lineage,
            partitions=partitions,
            position_of=positions(partitions),
            finished=bytearray(len(partitions)),
            is_indeterminate=node.determinism == "indeterminate",
            is_barrier=node.rdd_id in lineage.barrier_rdds,
        )
        self.by_id[stage.stage_id] = stage
        return stage

    def create_map_stage(self, lineage: CutLineage, dependency: ShuffleDependencyInfo, job_id: JobId) -> None:
        """Make the stage that writes a shuffle; those of its parents exist."""
        node = lineage.nodes[dependency.rdd_id]
        stage = MapStage(
            self.take_id(),
            node.rdd_id,
            f"{node.name} at {node.call_site}",
            node.call_site,
            node.num_partitions,
            dependency.binary_id,
            self.parents(lineage, node),
            lineage.parents_of[node.rdd_id],
            job_id,
            lineage,
            shuffle_id=dependency.shuffle_id,
            num_reducers=dependency.num_reducers,
            is_indeterminate=node.determinism == "indeterminate",
            is_barrier=node.rdd_id in lineage.barrier_rdds,
        )
        self.by_id[stage.stage_id] = stage
        self.by_shuffle[dependency.shuffle_id] = stage
        if dependency.shuffle_id not in self.map_outputs:
            self.map_outputs.register_shuffle(dependency.shuffle_id, node.num_partitions, dependency.num_reducers)

    def take_id(self) -> StageId:
        """Return the next stage id."""
        self.next_id += 1
        return StageId(self.next_id - 1)

    def parents(self, lineage: CutLineage, node: LineageNode) -> list[MapStage]:
        """Return the map stages that a stage ending at this RDD reads."""
        return [self.by_shuffle[shuffle_id] for shuffle_id in lineage.parents_of[node.rdd_id]]

    def claim(self, stage: Stage, lineage: CutLineage, job_id: JobId) -> None:
        """Note that a job needs its last stage and all map stages of its lineage."""
        stage.job_ids.add(job_id)
        for shuffle_id, dependency in lineage.shuffles.items():
            parent = self.by_shuffle[shuffle_id]
            parent.job_ids.add(job_id)
            parent.lineage = lineage  # the latest knows what has been cached since
            if parent.binary_id != dependency.binary_id:
                self.shorten(parent, dependency)

    def shorten(self, stage: MapStage, dependency: ShuffleDependencyInfo) -> None:
        """Have the next attempt of a stage compute what a later job says: a checkpoint has cut its lineage off."""
        node = stage.lineage.nodes[stage.rdd_id]
        stage.binary_id = dependency.binary_id
        stage.shuffle_ids = stage.lineage.parents_of[stage.rdd_id]
        stage.parents = self.parents(stage.lineage, node)
        stage.is_indeterminate = node.determinism == "indeterminate"

    def up_from(self, last: Stage) -> list[Stage]:
        """Return the stages of a job that was just created, by its last one, parents first."""
        stages = [last, *[self.by_shuffle[shuffle_id] for shuffle_id in last.lineage.shuffles]]
        return sorted(stages, key=lambda stage: stage.stage_id)

    def release(self, job_id: JobId, stage_ids: Iterable[StageId]) -> list[Stage]:
        """Take a job's claim off its stages; return the stages that nobody needs any more, which are gone."""
        gone = []
        for stage_id in stage_ids:
            stage = self.by_id[stage_id]
            stage.job_ids.discard(job_id)
            if not stage.job_ids:
                gone.append(stage)
                del self.by_id[stage_id]
                if isinstance(stage, MapStage):
                    del self.by_shuffle[stage.shuffle_id]
        return gone

    def succeeding(self, stage: Stage) -> list[Stage]:
        """Return the stages that follow from a stage, directly or not, parents first."""
        found = {stage.stage_id: stage}
        for later in self.by_id.values():  # in the order of their ids: parents first
            if any(parent.stage_id in found for parent in later.parents):
                found[later.stage_id] = later
        del found[stage.stage_id]
        return list(found.values())

    def needs(self, final: Stage, stage: Stage) -> bool:
        """Tell whether a job's last stage cannot run without a stage; above complete outputs none is needed."""
        found, pending = {final.stage_id}, [final]
        while pending:
            below = pending.pop()
            if below is stage:
                return True
            for parent in below.parents:
                if parent.stage_id not in found and (parent is stage or not self.is_available(parent)):
                    found.add(parent.stage_id)
                    pending.append(parent)
        return False

    def is_available(self, stage: MapStage) -> bool:
        """Tell whether all outputs of a map stage are registered."""
        return self.map_outputs.is_complete(stage.shuffle_id)

    def missing_partitions(self, stage: Stage) -> Sequence[int]:
        """Return the partitions of a stage that must be computed."""
        if isinstance(stage, MapStage):
            if not self.map_outputs.available(stage.shuffle_id):
                return range(stage.num_partitions)
            return self.map_outputs.missing_partitions(stage.shuffle_id)
        assert isinstance(stage, ResultStage)
        return stage.missing()


def positions(partitions: "array[int]") -> dict[int, int] | None:
    """Return partition → position, or None when every partition is its own position."""
    if all(map(eq, partitions, range(len(partitions)))):
        return None
    return {partition: position for position, partition in enumerate(partitions)}
