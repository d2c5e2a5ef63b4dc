"""Which attempts count for accumulators. Called by the DAGScheduler before the end of an attempt is acted on.

Source: Spark's DAGScheduler.updateAccumulators.
"""

from typing import Final

from minispark.messages.scheduler import TaskEnded
from minispark.messages.task import AccumulatorUpdate, ExceptionFailure, Success, TaskKilled
from minispark.scheduler.logic.stage import ResultStage, Stage

__all__ = ["REPORTING", "updates_that_count"]

REPORTING: Final = (Success, ExceptionFailure, TaskKilled)
"""The ends of attempts that tell what was added."""


def updates_that_count(stage: Stage | None, ended: TaskEnded) -> tuple[AccumulatorUpdate, ...]:
    """Return what an attempt added, as far as it counts.

    A result task counts with the first result of its partition, so what an action adds is exact. A map task always
    counts, again when it runs again. Failed and killed attempts report only what is to be counted even then.

    Args:
        stage: of the attempt; None if nobody needs it any more.
        ended: how the attempt ended; its stage has not taken note of it yet.
    """
    reason = ended.reason
    if stage is None or not isinstance(reason, REPORTING) or not reason.accumulators:
        return ()
    if (
        isinstance(reason, Success)
        and isinstance(stage, ResultStage)
        and stage.finished[stage.position(ended.partition)]
    ):
        return ()
    return reason.accumulators
