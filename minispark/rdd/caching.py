"""Persisting RDDs: keeping their partitions, when a job computes them, for later jobs. A part of `rdd.RDD`."""

from typing import Any, Self

from minispark.errors import ConfigurationError
from minispark.messages.storage_level import StorageLevel
from minispark.rdd.face import Face, T_co

__all__ = ["CacheMethods", "with_disk"]


class CacheMethods(Face[T_co]):
    """The methods of an RDD about its storage level."""

    def cache(self) -> Self:
        """Persist with `StorageLevel.MEMORY_ONLY`: partitions that do not fit are computed each time."""
        return self.persist()

    def persist(self, level: StorageLevel = StorageLevel.MEMORY_ONLY) -> Self:
        """Have partitions kept as jobs compute them; later jobs read them instead. Nothing runs.

        Records of a persisted RDD must not be changed in place: tasks may share them.

        Args:
            level: where and how they are kept. It stays until `unpersist`. After `local_checkpoint` the level may be
                another one until that is done, and is one with a disk in any case.

        Raises:
            ConfigurationError: the RDD is persisted with another level, or the level keeps nothing.
            TypeError: the level is none.
        """
        if not isinstance(level, StorageLevel):
            raise TypeError(f"persist takes a StorageLevel, as StorageLevel.MEMORY_AND_DISK, not {level!r}")
        if problem := level.problem():
            raise ConfigurationError(f"an RDD cannot be persisted with the level {level!r}: {problem}")
        node: Any = self.node
        mark = node.checkpoint
        if mark is not None and mark.is_local:
            level = with_disk(level)
            if node.is_cached and node.storage_level != level:
                self.context.unpersist(node)
        if not node.is_cached:
            self.context.persist(node, level)
        elif node.storage_level != level:
            raise ConfigurationError(
                f"the storage level of {self!r} is set already ({node.storage_level}): unpersist() it first to have "
                f"another ({level})"
            )
        return self

    def unpersist(self) -> Self:
        """Have the partitions dropped that are kept, and keep no more; tasks that read them go on.

        It does not wait: memory is free a moment later. Nothing happens if the RDD is not persisted.
        """
        if self.node.is_cached:
            self.context.unpersist(self.node)
        return self

    @property
    def is_cached(self) -> bool:
        """Whether it is persisted."""
        return self.node.is_cached

    @property
    def storage_level(self) -> StorageLevel:
        """How it is persisted; `StorageLevel.NONE` if it is not."""
        return self.node.storage_level


def with_disk(level: StorageLevel) -> StorageLevel:
    """Return a level that puts on disk what does not fit in memory, and is otherwise the same."""
    return StorageLevel(True, level.use_memory, level.use_off_heap, level.deserialized, level.replication)
