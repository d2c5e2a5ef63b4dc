"""Which stages run next, and the task sets that run them.

A part of `dag.DagState`. A stage runs when what it reads is there: its missing partitions go to the TaskScheduler in
chunks. Chunks whose preferred places must be looked up are made one a turn, so that a stage of a million tasks holds
nobody up. Source: submitStage and submitMissingTasks of Spark's DAGScheduler.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from minispark.ids import StageId
from minispark.messages.listener import StageSubmitted
from minispark.messages.scheduler import SubmitTaskSet, pack_integers
from minispark.messages.task import Preferences
from minispark.scheduler.logic.effects import Post, SubmitMoreTasks
from minispark.scheduler.logic.preferred import StagePreferences
from minispark.scheduler.logic.stage import MapStage, PartitionSet, Stage, StageAttempt

if TYPE_CHECKING:
    from minispark.scheduler.logic.dag import DagState

__all__ = ["CHUNK", "Submission"]

CHUNK: Final = 2048
"""Tasks in one SubmitTaskSet message: with three preferred hosts each, handling one takes 5 to 10 ms."""

CHUNKS_A_TURN: Final = 64
"""Messages made in one callback, if nothing must be looked up for them; of those with preferences one is made."""


@dataclass(slots=True, eq=False)
class Rest:
    """The part of a stage attempt that was not submitted yet: its partitions from `start` on."""

    attempt: int
    partitions: Sequence[int]
    start: int
    preferences: StagePreferences | None


class Submission:
    """Submits stages.

    Args:
        dag: the machine that this is a part of.

    Attributes:
        rests: stages whose latest attempt is still being submitted.
    """

    def __init__(self, dag: "DagState") -> None:
        self.dag = dag
        self.rests: dict[StageId, Rest] = {}

    def submit_stage(self, stage: Stage) -> None:
        """Run a stage if what it reads is there; otherwise run the stages first that write it, and let it wait."""
        dag = self.dag
        pending = [stage]
        while pending:
            stage = pending.pop()
            if not stage.job_ids or dag.is_underway(stage):
                continue
            if stage.next_attempt >= dag.recovery.rules.max_attempts:
                dag.abort_stage(stage, dag.recovery.too_many_attempts(stage))
                continue
            missing = self.missing_parents(stage)
            if missing:
                dag.waiting[stage.stage_id] = stage
                # The list is a stack: the parent with the lowest id is to go first.
                pending.extend(sorted(missing, key=lambda parent: parent.stage_id, reverse=True))
            else:
                self.submit_missing_tasks(stage)

    def missing_parents(self, stage: Stage) -> list[MapStage]:
        """Return the map stages that must run before a stage; none above RDDs that are cached in full."""
        missing = [parent for parent in stage.parents if not self.dag.stages.is_available(parent)]
        if missing and stage.lineage.has_cached:
            needed = self.dag.cached.shuffles_needed(stage.lineage, stage.rdd_id)
            missing = [parent for parent in missing if parent.shuffle_id in needed]
        return missing

    def submit_missing_tasks(self, stage: Stage) -> None:
        """Start a new attempt over the partitions that have no output yet."""
        dag = self.dag
        if isinstance(stage, MapStage) and not dag.rollback.start_over(stage):
            return
        missing = dag.stages.missing_partitions(stage)
        if stage.is_barrier and isinstance(stage, MapStage) and 0 < len(missing) < stage.num_partitions:
            # An output was lost without a failure of the stage; a task that ran without its fellows would not know.
            dag.map_outputs.unregister_all(stage.shuffle_id)
            missing = dag.stages.missing_partitions(stage)
        number = stage.next_attempt
        stage.next_attempt = number + 1
        stage.attempt = StageAttempt(number, len(missing), dag.now)
        if isinstance(stage, MapStage):
            stage.pending = PartitionSet(missing, stage.num_partitions)
        dag.running[stage.stage_id] = stage
        dag.watchers.attempt_started(stage.stage_id, number, len(missing))
        if dag.is_heard:
            dag.effects.append(Post(StageSubmitted(stage.info(), dict(self.properties(stage)))))
        if not missing:
            # Everything was registered meanwhile, or a map side without partitions.
            assert isinstance(stage, MapStage)
            dag.complete_map_stage(stage)
            return
        preferences = dag.preferred.of_stage(stage.lineage, stage.rdd_id)
        self.rests[stage.stage_id] = Rest(number, missing, 0, preferences)
        self.submit_more(stage.stage_id, number)

    def submit_more(self, stage_id: StageId, attempt: int) -> None:
        """Submit the next chunks of an attempt, unless the attempt has ended meanwhile."""
        rest = self.rests.get(stage_id)
        if rest is None or rest.attempt != attempt:
            return
        stage = self.dag.running.get(stage_id)
        if stage is None:
            del self.rests[stage_id]
            return
        for _ in range(CHUNKS_A_TURN if rest.preferences is None else 1):
            self.submit_chunk(stage, rest)
            if rest.start >= len(rest.partitions):
                break
        if rest.start < len(rest.partitions):
            self.dag.effects.append(SubmitMoreTasks(stage_id, attempt))
        else:
            del self.rests[stage_id]

    def submit_chunk(self, stage: Stage, rest: Rest) -> None:
        """Submit as many of the partitions that are left as fit a message."""
        first = rest.start
        chunk = rest.partitions[first : first + CHUNK]
        rest.start += len(chunk)
        self.dag.effects.append(
            SubmitTaskSet(
                stage.stage_id,
                rest.attempt,
                min(stage.job_ids),
                isinstance(stage, MapStage),
                stage.binary_id,
                self.dag.map_outputs.epoch,
                stage.shuffle_ids,
                pack_integers(chunk),
                len(rest.partitions),
                rest.start == len(rest.partitions),
                self.properties(stage),
                Preferences() if rest.preferences is None else rest.preferences.of(chunk),
                stage.is_barrier,
                first,
            )
        )

    def properties(self, stage: Stage) -> dict[str, str]:
        """Return those of the oldest active job that needs a stage."""
        return self.dag.jobs[min(stage.job_ids)].properties
