"""What the driver has to do with checkpoints: which RDDs are marked, and how their partitions are kept.

A marked RDD is kept by a job of its own, after the first job that computes it, before the caller of that job gets its
result. Then it becomes a source (`rdd.checkpoints.cut`). Loaded when the first RDD is marked. Source: Spark's
ReliableCheckpointRDD, and `doCheckpoint` of its RDD.
"""

import asyncio
import os
import weakref
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from minispark.errors import ConfigurationError, StorageError
from minispark.rdd.checkpoints import cut, marked_above, part_name, write_part
from minispark.rdd.files import PathLike, absolute_path, make_directory, names_in, output_at, remove_directory
from minispark.rdd.lineage import Determinism, describe
from minispark.rdd.node import CheckpointMark, Node
from minispark.rdd.preparation import Preparation
from minispark.rdd.transformations import count_records
from minispark.storage.batches import BATCH_RECORDS
from minispark.urls import shown

if TYPE_CHECKING:
    from minispark.driver import Driver
    from minispark.rdd.ports import JobRunner
    from minispark.scheduler.job_waiter import JobWaiter

__all__ = ["Checkpoints"]

REPORT_DELAYS_S: Final = (0.0, 0.01, 0.05, 0.2, 0.5, 1.0, 2.0)
"""How long to wait for executors to tell the driver of partitions that they have just kept."""


class Checkpoints:
    """The checkpoints of an application.

    Args:
        driver: runs their jobs.
        context: owns their jobs while they run.

    Attributes:
        directory: where files go, a directory of this application; empty until `SparkContext.set_checkpoint_dir`.
        making: makes it, and so shows that it can be reached.
        marked: RDDs that were marked and are neither kept nor gone.
    """

    def __init__(self, driver: "Driver", context: "JobRunner") -> None:
        self.driver = driver
        self.context = context
        self.directory = ""
        self.making: Preparation | None = None
        self.marked: weakref.WeakSet[Node[Any]] = weakref.WeakSet()

    def set_directory(self, path: PathLike) -> None:
        """Say where files go; see `SparkContext.set_checkpoint_dir`."""
        own = f"{self.driver.application_id}-{self.driver.world.secret_bytes(8).hex()}"
        directory = self.directory = os.path.join(absolute_path("path", path), own)

        async def make() -> None:
            await self.context.run_blocking(make_directory, directory)

        self.making = Preparation(make, self.context)

    def mark(self, node: Node[Any], is_local: bool) -> None:
        """Have an RDD kept after the next job over it.

        Raises:
            ConfigurationError: no directory was set.
        """
        if not is_local and not self.directory:
            raise ConfigurationError(
                f"{node!r} cannot be checkpointed: there is no directory for it; call sc.set_checkpoint_dir(path) "
                "with one that the driver and all executors see, or use local_checkpoint()"
            )
        keep = self.keep_blocks if is_local else self.write
        reference = weakref.ref(node)  # the node refers to its mark

        async def run() -> None:
            found = reference()
            assert found is not None, "whoever runs it holds the node"
            await keep(found)

        node.checkpoint = CheckpointMark(is_local, Preparation(run, self.context))
        self.marked.add(node)

    async def before_job(self, node: Node[Any]) -> None:
        """Make the directory, if a job over a node would be followed by the writing of files.

        Raises:
            StorageError: that cannot be done. It is told now and not when everything has been computed.
        """
        if not self.marked:
            return
        for marked in marked_above(node):
            if self.making is not None and marked.checkpoint is not None and not marked.checkpoint.is_local:
                try:
                    await self.making.run()
                except OSError as error:
                    raise self.not_written(marked, self.directory, error) from error

    async def after_job(self, node: Node[Any]) -> None:
        """Keep the marked RDDs that a job over a node has computed, each unless one below it is marked as well.

        Raises:
            StorageError: one cannot be kept; it stays marked, and the next job tries again.
            MiniSparkError: its job failed.
        """
        if not self.marked:
            return
        for marked in marked_above(node):
            if marked.checkpoint is not None:  # another job may have been faster
                await marked.checkpoint.writing.run()

    # -- files -------------------------------------------------------------------------------------------------------

    async def write(self, node: Node[Any]) -> None:
        """Write an RDD to files, and cut it off its parents."""
        off_the_loop = self.context.run_blocking
        output = output_at(os.path.join(self.directory, f"rdd-{node.rdd_id}"))
        try:
            try:
                directory = await off_the_loop(output.create)
                write_parts = partial(write_part, directory, self.driver.conf.checkpoint_compress, BATCH_RECORDS)
                await self.driver.jobs.run(node, write_parts, None, then_checkpoint=False)
                await off_the_loop(check_parts, output.path, len(node.partitions()))
                await off_the_loop(output.commit)
            except OSError as error:
                raise self.not_written(node, output.path, error) from error
        except GeneratorExit:  # the loop was closed: nothing can be awaited any more
            output.abandon()
            raise
        except BaseException:
            await self.context.give_up(output)
            raise
        self.cut(node, output.path)
        if self.driver.conf.cleaner_clean_checkpoints:
            weakref.finalize(node, self.forgotten, output.path).atexit = False

    def not_written(self, node: Node[Any], path: str, error: OSError) -> StorageError:
        """Return what a job fails with when an RDD cannot be written that is to be kept."""
        return StorageError(
            f"the checkpoint of {node!r} cannot be written to {shown(path)!r}: {error}; the directory of "
            "sc.set_checkpoint_dir() must be one that the driver and all executors see and may write to. The "
            "RDD stays as it was, and the next job over it tries again"
        )

    def forgotten(self, path: str) -> None:
        """Have the files of an RDD deleted that nothing refers to; called on any thread."""
        driver = self.driver
        if driver.env is not None and driver.stopping is None and not driver.env.loop.is_closed():
            driver.env.loop.call_soon_threadsafe(self.delete, path)

    def delete(self, path: str) -> None:
        """Delete files, off the loop."""
        if self.driver.stopping is None:
            deletion = self.context.run_blocking(remove_directory, path)
            self.driver.spawn(deletion, name=f"delete {shown(path)}")

    # -- blocks ------------------------------------------------------------------------------------------------------

    async def keep_blocks(self, node: Node[Any]) -> None:
        """Have executors keep all partitions of an RDD, and cut it off its parents."""
        missing = self.missing_blocks(node)
        if missing:
            await self.driver.jobs.run(node, count_records, missing, then_checkpoint=False)
        for delay_s in REPORT_DELAYS_S:
            if not (missing := self.missing_blocks(node)):
                break
            await self.driver.world.sleep(delay_s)
        else:
            raise StorageError(
                f"the local checkpoint of {node!r} cannot be made: its executors do not keep {len(missing)} of "
                f"{len(node.partitions())} partitions, partition {missing[0]} for one; is there room on their disks?"
            )
        self.cut(node, None)

    def missing_blocks(self, node: Node[Any]) -> list[int]:
        """Return the partitions of an RDD that no executor keeps."""
        kept = self.driver.block_manager_master.table.blocks_of(node.rdd_id)
        return [partition for partition in range(len(node.partitions())) if partition not in kept]

    # -- either ------------------------------------------------------------------------------------------------------

    def cut(self, node: Node[Any], directory: str | None) -> None:
        """Make an RDD that was kept a source."""
        driver = self.driver
        level: Determinism = describe(node, driver.work.of_dependency).nodes[-1].determinism
        self.marked.discard(node)
        driver.work.renew(node, is_indeterminate=level == "indeterminate")
        parents = cut(node, directory, level)
        underway = list(driver.job_table.waiters.values())
        if underway:
            driver.spawn(hold(parents, underway), name=f"hold what {node!r} was made of")


async def hold(parents: Iterable[Any], waiters: "Iterable[JobWaiter]") -> None:
    """Hold what was cut off until the jobs that may still compute it are over: shuffles go with the last link."""
    await asyncio.wait([waiter.done for waiter in waiters])


def check_parts(path: str, count: int) -> None:
    """Raise unless all files of a checkpoint are where the driver looks for them."""
    there = names_in(path)
    missing = [name for name in map(part_name, range(count)) if name not in there]
    if missing:
        raise FileNotFoundError(f"the tasks have written {missing[0]}, and it is not there")
