"""Which RDDs executors keep, as the DAG scheduler sees it: asked once, until something happens that may change it.

What is cached in full need not be computed, so the search for missing parents stops there. `dag` asks, and says when
to forget. The truth is in the driver's table of blocks, behind a protocol; if it cannot be had, nothing is cached.
Source: getCacheLocs and getMissingParentStages of Spark's DAGScheduler.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from minispark.errors import MiniSparkError
from minispark.ids import RddId, ShuffleId
from minispark.messages.task import NarrowDependency, TaskLocation
from minispark.scheduler.logic.lineage import CutLineage

__all__ = ["NOTHING_CACHED", "CachedBlocks", "CachedRdds", "NothingCached", "Rows"]

Rows = Sequence[Sequence[TaskLocation]]
"""Locations by partition; none for one that is not cached."""


class CachedBlocks(Protocol):
    """The driver's table of blocks."""

    def locations(self, rdd_id: RddId) -> Rows | None:
        """Return where each partition of an RDD is kept; None if none is, or nobody knows the RDD.

        Raises:
            MiniSparkError: the table cannot be asked.
        """


class NothingCached:
    """The table of a driver without block managers."""

    def locations(self, rdd_id: RddId) -> Rows | None:
        """Know nothing."""
        return None


NOTHING_CACHED: Final = NothingCached()


class CachedRdds:
    """What the table of blocks said.

    Args:
        blocks: the table.
        warn: told when it cannot be asked.
    """

    def __init__(self, blocks: CachedBlocks, warn: Callable[[str], object]) -> None:
        self.blocks = blocks
        self.warn = warn
        self.known: dict[RddId, Rows | None] = {}

    def clear(self) -> None:
        """Forget everything: blocks may have come or gone."""
        self.known.clear()

    def rows(self, lineage: CutLineage, rdd_id: RddId) -> Rows | None:
        """Return where the partitions of an RDD are kept; None if none is."""
        if not lineage.nodes[rdd_id].is_cached:
            return None
        if rdd_id not in self.known:
            try:
                rows = self.blocks.locations(rdd_id)
            except MiniSparkError as error:
                self.warn(f"RDD {rdd_id} is taken as not cached: its blocks are not known: {error}")
                rows = None
            self.known[rdd_id] = rows if rows is not None and any(rows) else None
        return self.known[rdd_id]

    def is_complete(self, lineage: CutLineage, rdd_id: RddId) -> bool:
        """Tell whether every partition of an RDD is kept somewhere."""
        rows = self.rows(lineage, rdd_id)
        return rows is not None and len(rows) >= lineage.nodes[rdd_id].num_partitions and all(rows)

    def shuffles_needed(self, lineage: CutLineage, rdd_id: RddId) -> Sequence[ShuffleId]:
        """Return the shuffles that a stage ending at an RDD reads: not those above RDDs that are cached in full."""
        if not lineage.has_cached:
            return lineage.parents_of[rdd_id]
        needed: dict[ShuffleId, None] = {}
        seen, pending = {rdd_id}, [rdd_id]
        while pending:
            rdd_id = pending.pop()
            if self.is_complete(lineage, rdd_id):
                continue
            for dependency in lineage.nodes[rdd_id].dependencies:
                if not isinstance(dependency, NarrowDependency):
                    needed[dependency.shuffle_id] = None
                elif dependency.rdd_id not in seen:
                    seen.add(dependency.rdd_id)
                    pending.append(dependency.rdd_id)
        return list(needed)
