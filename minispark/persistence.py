"""What SparkContext has to do with RDDs that are kept: which are persisted, where they are, what is dropped.

An RDD that nothing refers to any more is dropped by itself. Must not know how blocks are kept: that is told to the
driver's BlockManagerMaster. How RDDs are checkpointed is `checkpointing`'s business.
"""

import weakref
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from minispark.ids import RddId

if TYPE_CHECKING:
    from minispark.driver import Driver
    from minispark.messages.storage_level import StorageLevel
    from minispark.rdd.files import PathLike
    from minispark.rdd.node import Node
    from minispark.rdd.ports import JobRunner

__all__ = ["Persisted", "Persistence", "RddStorage"]


class RddStorage(NamedTuple):
    """How much of a persisted RDD is kept, on all executors together.

    Attributes:
        rdd_id: its number.
        name: what made it, or what `set_name` said.
        level: how it is persisted.
        num_partitions: how many it has.
        num_cached: how many of them are kept somewhere.
        memory_bytes: what their files take in memory.
        disk_bytes: what their files take on disk.
        live_bytes: what objects of their records take beside the files, about.
    """

    rdd_id: int
    name: str
    level: "StorageLevel"
    num_partitions: int
    num_cached: int
    memory_bytes: int
    disk_bytes: int
    live_bytes: int


class Persistence:
    """The part of SparkContext that is about persisted RDDs."""

    driver: "Driver"
    is_stopped: bool

    def check_usable(self) -> None:
        """Raise unless the context is active, and on this loop."""
        raise NotImplementedError

    def persist(self, node: "Node[Any]", level: "StorageLevel") -> None:
        """Have the partitions of an RDD kept; `RDD.persist` comes here."""
        self.check_usable()
        self.driver.persisted.add(node, level)

    def unpersist(self, node: "Node[Any]") -> None:
        """Have the partitions of an RDD dropped; `RDD.unpersist` comes here. The context's stop has dropped them."""
        if self.is_stopped:
            self.driver.persisted.unmark(node)
            return
        self.check_usable()
        self.driver.persisted.remove(node)

    def set_checkpoint_dir(self, path: "PathLike") -> None:
        """Say where the files of checkpoints go: into a directory of this application's in the given one.

        It is made before the first job that is followed by the writing of an RDD; if it cannot be, that job fails
        with a StorageError before anything is computed.

        Args:
            path: a directory that the driver and all executors see: any in local mode, one of a shared file system in
                a cluster, or a URL of what fsspec knows, as `s3://bucket/folder`. A relative one is taken from the
                working directory of now.

        Raises:
            ConfigurationError: the path is empty, or nothing is known that reads such a URL.
            TypeError: the path is not a path.
        """
        self.check_usable()
        self.driver.checkpoints_of(cast("JobRunner", self)).set_directory(path)

    def get_checkpoint_dir(self) -> str | None:
        """Return the directory of this application's checkpoints; None if none was set."""
        self.check_usable()
        checkpoints = self.driver.checkpoints
        return (checkpoints.directory or None) if checkpoints is not None else None

    def checkpoint(self, node: "Node[Any]", is_local: bool) -> None:
        """Have an RDD kept by a checkpoint; `RDD.checkpoint` and `RDD.local_checkpoint` come here."""
        self.check_usable()
        self.driver.checkpoints_of(cast("JobRunner", self)).mark(node, is_local)

    def storage_status(self) -> list[RddStorage]:
        """Return what is kept of the persisted RDDs of which something is, by their numbers."""
        self.check_usable()
        master = self.driver.block_manager_master
        status = []
        for rdd_id, node in sorted(self.driver.persisted.nodes.items()):
            blocks = master.table.blocks_of(rdd_id).values()
            holders = [held for block in blocks for held in master.table.holders_of(block)]
            if not holders:
                continue
            status.append(
                RddStorage(
                    rdd_id,
                    node.name,
                    node.storage_level,
                    len(node.partitions()),
                    len(blocks),
                    sum(held.size_bytes for held in holders if held.in_memory),
                    sum(held.size_bytes for held in holders if not held.in_memory),
                    sum(held.live_bytes for held in holders),
                )
            )
        return status

    def persistent_rdds(self) -> dict[RddId, "Node[Any]"]:
        """Return the persisted RDDs (their inner halves) by number: a copy, which may be changed."""
        self.check_usable()
        return dict(self.driver.persisted.nodes)


class Persisted:
    """The persisted RDDs of an application, as far as something refers to them.

    Args:
        driver: drops their blocks.
    """

    def __init__(self, driver: "Driver") -> None:
        self.driver = driver
        self.nodes: weakref.WeakValueDictionary[RddId, Node[Any]] = weakref.WeakValueDictionary()
        self.generation = 0
        self.finalizers: dict[RddId, weakref.finalize[Any, Any]] = {}

    def add(self, node: "Node[Any]", level: "StorageLevel") -> None:
        """Have an RDD's partitions kept, from the next job on."""
        self.generation += 1
        node.is_cached = True
        node.storage_level = level
        node.storage_generation = self.generation
        node.description = None
        self.driver.work.renew(node, False)
        self.nodes[node.rdd_id] = node
        finalizer = weakref.finalize(node, self.driver.rdd_forgotten, node.rdd_id, self.generation)
        finalizer.atexit = False
        self.finalizers[node.rdd_id] = finalizer

    def remove(self, node: "Node[Any]") -> None:
        """Have what is kept of an RDD dropped."""
        generation = node.storage_generation
        self.unmark(node)
        self.driver.work.renew(node, False)
        self.driver.block_manager_master.remove_rdd(node.rdd_id, generation)

    def unmark(self, node: "Node[Any]") -> None:
        """Make of a persisted RDD one that is not."""
        for name in ("is_cached", "storage_level", "storage_generation"):
            vars(node).pop(name, None)
        node.description = None
        self.nodes.pop(node.rdd_id, None)
        finalizer = self.finalizers.pop(node.rdd_id, None)
        if finalizer is not None:
            finalizer.detach()

    def forget(self, rdd_id: RddId, generation: int) -> None:
        """Have what is kept of an RDD dropped that nothing refers to any more."""
        self.finalizers.pop(rdd_id, None)
        self.driver.block_manager_master.remove_rdd(rdd_id, generation)
