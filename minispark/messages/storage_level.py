"""StorageLevel: where and how the partitions of a persisted RDD are kept. Source: Spark's StorageLevel."""

from typing import Any, ClassVar

from minispark.rpc.message import Message, message

__all__ = ["StorageLevel"]

MAX_REPLICATION = 40


@message(146)
class StorageLevel(Message):
    """How a persisted partition is kept.

    Every level keeps partitions as bytes in files: on tmpfs while they are in memory, else on disk. `deserialized`
    ones are also kept as live objects in the process that computed them, so that reading one again is a loop over a
    list.

    Args:
        use_disk: whether they may be on disk: when memory is short, or at once without `use_memory`.
        use_memory: whether they may be in memory.
        use_off_heap: taken as memory that is not the interpreter's, which it always is here; never deserialized.
        deserialized: whether live objects are kept as well.
        replication: on how many executors, 1 to 39.
    """

    use_disk: bool
    use_memory: bool
    use_off_heap: bool = False
    deserialized: bool = False
    replication: int = 1

    NONE: ClassVar["StorageLevel"]
    DISK_ONLY: ClassVar["StorageLevel"]
    DISK_ONLY_2: ClassVar["StorageLevel"]
    DISK_ONLY_3: ClassVar["StorageLevel"]
    MEMORY_ONLY: ClassVar["StorageLevel"]
    MEMORY_ONLY_2: ClassVar["StorageLevel"]
    MEMORY_ONLY_SER: ClassVar["StorageLevel"]
    MEMORY_ONLY_SER_2: ClassVar["StorageLevel"]
    MEMORY_AND_DISK: ClassVar["StorageLevel"]
    MEMORY_AND_DISK_2: ClassVar["StorageLevel"]
    MEMORY_AND_DISK_SER: ClassVar["StorageLevel"]
    MEMORY_AND_DISK_SER_2: ClassVar["StorageLevel"]
    OFF_HEAP: ClassVar["StorageLevel"]

    def problem(self) -> str:
        """Say why nothing can be persisted with this level; empty: it can."""
        if not 0 < self.replication < MAX_REPLICATION:
            return f"a partition is kept on 1 to {MAX_REPLICATION - 1} executors, not on {self.replication}"
        if self.use_off_heap and self.deserialized:
            return "what is off heap cannot be deserialized"
        return "" if self.use_disk or self.use_memory else "it keeps nothing: use unpersist()"

    def __reduce__(self) -> tuple[Any, ...]:
        # It travels in nodes, between processes some of which freeze their records and some of which do not.
        return StorageLevel, tuple(getattr(self, name) for name in self.__match_args__)

    def __str__(self) -> str:
        places = [name for name, used in (("disk", self.use_disk), ("memory", self.use_memory)) if used]
        form = "deserialized" if self.deserialized else "serialized"
        return f"{' and '.join(places) or 'nowhere'}, {form}, {self.replication} × replicated"


StorageLevel.NONE = StorageLevel(False, False)
StorageLevel.DISK_ONLY = StorageLevel(True, False)
StorageLevel.DISK_ONLY_2 = StorageLevel(True, False, replication=2)
StorageLevel.DISK_ONLY_3 = StorageLevel(True, False, replication=3)
StorageLevel.MEMORY_ONLY = StorageLevel(False, True, deserialized=True)
StorageLevel.MEMORY_ONLY_2 = StorageLevel(False, True, deserialized=True, replication=2)
StorageLevel.MEMORY_ONLY_SER = StorageLevel(False, True)
StorageLevel.MEMORY_ONLY_SER_2 = StorageLevel(False, True, replication=2)
StorageLevel.MEMORY_AND_DISK = StorageLevel(True, True, deserialized=True)
StorageLevel.MEMORY_AND_DISK_2 = StorageLevel(True, True, deserialized=True, replication=2)
StorageLevel.MEMORY_AND_DISK_SER = StorageLevel(True, True)
StorageLevel.MEMORY_AND_DISK_SER_2 = StorageLevel(True, True, replication=2)
StorageLevel.OFF_HEAP = StorageLevel(True, True, use_off_heap=True)
