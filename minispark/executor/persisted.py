"""PersistedBlocks: the executor's side of persisted partitions; a `RunnerHelper`.

Nothing of block managers is loaded before the first runner asks: most programs persist nothing
(docs/decisions/0003). Made by whoever makes an executor. Must not know what becomes of a block.
"""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from minispark.conf import SparkConf
from minispark.executor.memory_guard import MemoryGuard
from minispark.executor.runners import RunnerPool
from minispark.ids import BlockId, RddId, TaskId
from minispark.messages.runner import AnswerFailed, RunnerReply, RunnerRequest
from minispark.messages.runner_blocks import AbandonBlock, NeedBlock, WriteBlock
from minispark.messages.task import BlockManagerId
from minispark.rpc.env import RpcEnv
from minispark.rpc.message import Message
from minispark.rpc.ref import RpcEndpointRef
from minispark.storage.logic.unified_memory import UnifiedMemory
from minispark.storage.memory_bound import LEAST_SHARE, available_memory, storage_bound

if TYPE_CHECKING:
    from minispark.executor.executor import Executor
    from minispark.messages.storage_level import StorageLevel
    from minispark.storage.block_manager import BlockFetcher, BlockManager

__all__ = ["PersistedBlocks"]


class SharingPool(Protocol):
    """A pool of runner processes, which tell what their tasks hold; only there the memory is watched."""

    def held_bytes(self) -> int:
        """Return what the containers of all attempts hold."""

    def share_memory(self, share_bytes: int) -> None:
        """Say what those of each may hold."""


class PersistedBlocks:
    """Makes a block manager when one is needed, and brings it what runners ask.

    Args:
        env: where it becomes an endpoint.
        master: the driver's BlockManagerMaster.
        location: where the executor's files are.
        conf: the application's settings.
        pool: runs the attempts.
        memory_bytes: what the executor has; None: the share of the machine that local mode takes.
        fetcher: gets blocks from other executors.
        reregister: has the driver know of this executor again, who then calls `registered_again`.
        service_port: of the shuffle service that serves blocks on disk when this executor is gone; 0: none does.
    """

    def __init__(
        self,
        env: RpcEnv,
        master: RpcEndpointRef,
        location: BlockManagerId,
        conf: SparkConf,
        pool: RunnerPool,
        *,
        memory_bytes: int | None = None,
        fetcher: "BlockFetcher | None" = None,
        reregister: Callable[[], object] = lambda: None,
        service_port: int = 0,
    ) -> None:
        self.env = env
        self.master = master
        self.location = location
        self.conf = conf
        self.pool = pool
        self.memory_bytes = memory_bytes
        self.fetcher = fetcher
        self.reregister = reregister
        self.service_port = service_port
        self.bound_bytes: int | None = None
        self.manager: BlockManager | None = None
        self.executor: Executor | None = None

    def attach(self, executor: "Executor") -> None:
        """Say whose helper this is: it knows which attempt is in which slot. Its runners' memory is watched."""
        self.executor = executor
        if self.conf.executor_pool == "process":
            executor.guard = MemoryGuard(executor, self.env.world, available_memory, self.memory_bytes, self)

    def answers_to(self) -> tuple[type[Message], ...]:
        """Return what it answers."""
        return NeedBlock, WriteBlock, AbandonBlock

    def asked(
        self, task_id: TaskId, request: RunnerRequest, answer: Callable[[RunnerReply | AnswerFailed], None]
    ) -> None:
        """Answer a runner."""
        assert isinstance(request, NeedBlock | WriteBlock | AbandonBlock)
        assert self.executor is not None
        manager = self.manager or self.start()
        slot = self.executor.slots.running[task_id]
        manager.asked(slot, self.executor.preparation.task(task_id), request, answer)

    def attempt_ended(self, task_id: TaskId, succeeded: bool) -> None:
        """Release what an attempt held."""
        if self.manager is not None:
            self.manager.attempt_ended(task_id, succeeded)

    def runner_lost(self, slot: int) -> None:
        """Forget the objects that a runner took with it."""
        if self.manager is not None:
            self.manager.runner_lost(slot)

    def path_of(self, block_id: BlockId) -> str | None:
        """Return the file of a block; None if it is not here."""
        return None if self.manager is None else self.manager.blocks.path_of(block_id)

    def is_leaving(self) -> bool:
        """Tell whether the executor was told to go."""
        return self.executor is not None and self.executor.decommissioner.begun

    def stored(self) -> dict[BlockId, tuple["StorageLevel", int]]:
        """Return the blocks that are here and finished: how, and as of which time their RDDs are persisted."""
        blocks = {} if self.manager is None else self.manager.blocks.blocks
        return {name: (block.level, block.generation) for name, block in blocks.items() if block.is_visible}

    # -- what the guard of the memory asks ---------------------------------------------------------------------------

    def balance(self) -> None:
        """Tell partitions and tasks what the others leave them; see `StoredPartitions`.

        A share of tasks that was set stays, and what was set as the bound of partitions is theirs alone.
        """
        if self.conf.memory_storage_size:
            return
        memory = UnifiedMemory.of(self.bound(), self.conf.memory_storage_fraction)
        store = None if self.manager is None else self.manager.blocks.memory
        pool = cast("SharingPool", self.pool)
        stored = 0
        if self.manager is not None and store is not None:
            store.execution_bytes = pool.held_bytes()
            to_evict = memory.to_evict(store.used_bytes, store.execution_bytes)
            if to_evict:
                self.manager.evict(to_evict, memory.region_bytes)
            stored = store.used_bytes
        if not self.conf.memory_task_size:
            pool.share_memory(max(LEAST_SHARE, memory.task_share(stored, self.pool.slots)))

    def bound(self) -> int:
        """Return what partitions and tasks may take together; looked for once."""
        if self.bound_bytes is None:
            memory_bytes = available_memory() if self.memory_bytes is None else self.memory_bytes
            self.bound_bytes = storage_bound(memory_bytes, self.conf.memory_fraction, self.conf.memory_storage_size)
        return self.bound_bytes

    def stored_bytes(self) -> int:
        """Return what files of persisted partitions take in memory; see `StoredPartitions`."""
        return 0 if self.manager is None else self.manager.blocks.memory.bytes_of(-1)

    def live_bytes(self, slot: int) -> int:
        """Return what objects of them take in a runner; see `StoredPartitions`."""
        return 0 if self.manager is None else self.manager.blocks.memory.bytes_of(slot)

    def evict(self, size_bytes: int) -> None:
        """Have so much leave the memory; see `StoredPartitions`."""
        if self.manager is not None:
            self.manager.evict(size_bytes, int(self.conf.memory_storage_fraction * self.manager.max_memory_bytes))

    def writes(self, task_id: TaskId) -> list[RddId]:
        """Return what an attempt computes that is to be kept; see `StoredPartitions`."""
        blocks = {} if self.manager is None else self.manager.blocks.blocks
        return [block.rdd_id for block in blocks.values() if block.writer == task_id]

    # -- the block manager -------------------------------------------------------------------------------------------

    def registered_again(self) -> None:
        """Tell the driver what is here: it had given this executor up, and has taken it back."""
        if self.manager is not None:
            self.manager.register()

    def start(self) -> "BlockManager":
        """Make the block manager; in an executor process at its start, so that its peers know of it."""
        storage: Any = import_module("minispark.storage.block_manager")
        folder: Any = import_module("minispark.storage.memory_folder")
        manager: BlockManager = storage.BlockManager(
            self.location,
            self.master,
            max_memory_bytes=self.bound(),
            drop_live=self.pool.drop_blocks,
            world=self.env.world,
            scope=self.env.scope,
            memory=folder.MemoryFolder(self.location.directory),
            fetcher=self.fetcher,
            service_port=self.service_port,
        )
        manager.is_leaving = self.is_leaving
        manager.reregister = self.reregister
        self.env.setup_endpoint(storage.BLOCK_MANAGER, manager)
        self.manager = manager
        if self.executor is not None:
            self.executor.affinity = manager.slot_for
        return manager
