"""How persisted partitions and the work of tasks share one bound. Source: Spark's UnifiedMemoryManager.

Each may take what the other leaves. When tasks need more, partitions go, but not below their region; when partitions
need more, tasks keep what they have. Called by `executor.persisted`, which knows what both hold; it moves nothing.
"""

from minispark.record import Record, record

__all__ = ["UnifiedMemory"]


@record
class UnifiedMemory(Record):
    """The memory of one executor for both.

    Attributes:
        total_bytes: the bound, `minispark.memory.fraction` of the executor's memory.
        region_bytes: what tasks cannot take from partitions that are there, `minispark.memory.storageFraction` of it.
    """

    total_bytes: int
    region_bytes: int

    @classmethod
    def of(cls, total_bytes: int, storage_fraction: float) -> "UnifiedMemory":
        """Return how a bound is shared."""
        return cls(total_bytes, int(total_bytes * storage_fraction))

    def execution_limit(self, storage_bytes: int) -> int:
        """Return what tasks may take together while partitions hold so much: those above their region would go."""
        return self.total_bytes - min(storage_bytes, self.region_bytes)

    def task_share(self, storage_bytes: int, slots: int) -> int:
        """Return what each task may take, if as many run as there are slots.

        Spark divides by the tasks that hold something just now, and lets others wait until there is room for half a
        share. Here none waits: a share that was given to a task's process cannot be taken back before it spills.
        """
        return self.execution_limit(storage_bytes) // slots

    def to_evict(self, storage_bytes: int, execution_bytes: int) -> int:
        """Return how much of the partitions must go for what tasks hold: none of their region."""
        above = storage_bytes - self.region_bytes
        return max(0, min(above, storage_bytes + execution_bytes - self.total_bytes))
