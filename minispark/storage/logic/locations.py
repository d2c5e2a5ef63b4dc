"""Which executors hold which block: the master's table. Written by the BlockManagerMaster alone."""

from dataclasses import replace

from minispark.ids import BlockId, ExecutorId, RddId, partition_of_block
from minispark.messages.storage_level import StorageLevel
from minispark.messages.task import BlockManagerId
from minispark.record import Record, record

__all__ = ["BlockHolder", "BlockTable"]


@record
class BlockHolder(Record):
    """One copy of a block: the file and its size in bytes; objects beside it; how its RDD was persisted, and when.

    Attributes:
        service_port: where the shuffle service of the host listens that serves the file when the executor is gone;
            0: nobody does.
        is_served: whether that is so; the location is the service's then.
    """

    location: BlockManagerId
    path: str
    size_bytes: int
    in_memory: bool = False
    live_bytes: int = 0
    level: StorageLevel = StorageLevel.NONE
    generation: int = 0
    service_port: int = 0
    is_served: bool = False


class BlockTable:
    """Block → its holders, in the order in which they came; and executor → its blocks, for when it goes."""

    def __init__(self) -> None:
        self.holders: dict[BlockId, dict[ExecutorId, BlockHolder]] = {}
        self.blocks: dict[ExecutorId, set[BlockId]] = {}
        self.rdds: dict[RddId, dict[int, BlockId]] = {}

    def put(self, block_id: BlockId, holder: BlockHolder) -> None:
        """Note that an executor holds a block; instead of what was known of it and this block."""
        executor_id = holder.location.executor_id
        if block_id not in self.holders and (place := partition_of_block(block_id)) is not None:
            self.rdds.setdefault(place[0], {})[place[1]] = block_id
        self.holders.setdefault(block_id, {})[executor_id] = holder
        self.blocks.setdefault(executor_id, set()).add(block_id)

    def drop(self, block_id: BlockId, executor_id: ExecutorId) -> None:
        """Note that an executor does not hold a block any more."""
        holders = self.holders.get(block_id)
        if holders is not None and holders.pop(executor_id, None) is not None:
            if not holders:
                del self.holders[block_id]
                self.forget_partition(block_id)
            self.blocks[executor_id].discard(block_id)
            if not self.blocks[executor_id]:
                del self.blocks[executor_id]

    def locations(self, block_id: BlockId) -> tuple[BlockManagerId, ...]:
        """Return where a block is; the oldest copy first."""
        return tuple(holder.location for holder in self.holders.get(block_id, {}).values())

    def forget_partition(self, block_id: BlockId) -> None:
        """Note that nobody holds a block, if it is a partition of an RDD."""
        place = partition_of_block(block_id)
        if place is not None:
            partitions = self.rdds[place[0]]
            del partitions[place[1]]
            if not partitions:
                del self.rdds[place[0]]

    def blocks_of(self, rdd_id: RddId) -> dict[int, BlockId]:
        """Return the blocks of a persisted RDD that somebody holds, by partition."""
        return self.rdds.get(rdd_id, {})

    def holders_of(self, block_id: BlockId) -> tuple[BlockHolder, ...]:
        """Return who holds a block; the oldest copy first."""
        return tuple(self.holders.get(block_id, {}).values())

    def rows(self, rdd_id: RddId) -> list[tuple[BlockHolder, ...]] | None:
        """Return who has each partition of an RDD, up to the last that anybody has; None if nobody has any."""
        blocks = self.rdds.get(rdd_id)
        if blocks is None:
            return None
        return [self.holders_of(blocks[place]) if place in blocks else () for place in range(max(blocks) + 1)]

    def remove_block(self, block_id: BlockId) -> list[BlockHolder]:
        """Forget a block and return who held it."""
        removed = list(self.holders.get(block_id, {}).values())
        for holder in removed:
            self.drop(block_id, holder.location.executor_id)
        return removed

    def remove_executor(self, executor_id: ExecutorId) -> None:
        """Forget all that an executor holds."""
        for block_id in self.blocks.get(executor_id, set()).copy():
            self.drop(block_id, executor_id)

    def executor_gone(self, executor_id: ExecutorId) -> None:
        """Forget what an executor held, but for the files that the shuffle service of its host serves from now on."""
        for block_id in self.blocks.get(executor_id, set()).copy():
            holder = self.holders[block_id][executor_id]
            if holder.service_port:
                at_service = replace(holder.location, port=holder.service_port)
                self.holders[block_id][executor_id] = replace(
                    holder, location=at_service, live_bytes=0, is_served=True
                )
            else:
                self.drop(block_id, executor_id)

    def host_gone(self, host: str) -> list[BlockId]:
        """Forget what the shuffle service of a host served; return the blocks."""
        lost: dict[BlockId, None] = {}
        for block_id, holders in list(self.holders.items()):
            for executor_id, holder in list(holders.items()):
                if holder.is_served and holder.location.host == host:
                    self.drop(block_id, executor_id)
                    lost[block_id] = None
        return list(lost)

    def check(self) -> None:
        """Assert that both directions agree."""
        forth = {(block, executor) for block, holders in self.holders.items() for executor in holders}
        back = {(block, executor) for executor, blocks in self.blocks.items() for block in blocks}
        assert forth == back, (forth, back)
        assert all(self.holders.values())
        rdd_blocks = {block for partitions in self.rdds.values() for block in partitions.values()}
        assert rdd_blocks == {block for block in self.holders if partition_of_block(block) is not None}
        assert all(self.blocks.values())

    def assert_empty(self) -> None:
        """Assert that no block is known."""
        assert not self.holders, f"blocks left: {list(self.holders)}"
        assert not self.blocks, f"holders left: {list(self.blocks)}"
