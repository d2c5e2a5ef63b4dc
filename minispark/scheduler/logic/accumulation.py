"""Which attempts count for accumulators. Called by the DAGScheduler before the end of an attempt is acted on.

Source: Spark's DAGScheduler.updateAccumulators.
"""

from minispark.messages.scheduler import TaskEnded
from minispark.messages.task import AccumulatorUpdate, ExceptionFailure, Success, TaskKilled
from minispark.scheduler.logic.stage import ResultStage, Stage

__all__ = ["updates_that_count"]


def updates_that_count(stage: Stage | None, ended: TaskEnded) -> tuple[AccumulatorUpdate, ...]:
    """Return what an attempt added, as far as it counts.

    A result task counts with the first result of its partition, so what an action adds is exact. A map task always
    counts, again when it runs again. Failed and killed attempts report only what is to be counted even then.

    Args:
        stage: of the attempt; None if nobody needs it any more.
        ended: how the attempt ended; its stage has not taken note of it yet.
    """
    if stage is None or not isinstance(ended.reason, Success | ExceptionFailure | TaskKilled):
        return ()
    if isinstance(ended.reason, Success) and isinstance(stage, ResultStage):
        return () if stage.finished[stage.position(ended.partition)] else ended.reason.accumulators
    return ended.reason.accumulators
