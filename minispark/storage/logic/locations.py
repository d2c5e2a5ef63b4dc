"""Which executors hold which block: the master's table. Written by the BlockManagerMaster alone."""

from minispark.ids import BlockId, ExecutorId
from minispark.messages.task import BlockManagerId
from minispark.record import Record, record

__all__ = ["BlockHolder", "BlockTable"]


@record
class BlockHolder(Record):
    """One copy of a block: the file and its size in bytes."""

    location: BlockManagerId
    path: str
    size_bytes: int


class BlockTable:
    """Block → its holders, in the order in which they came; and executor → its blocks, for when it goes."""

    def __init__(self) -> None:
        self.holders: dict[BlockId, dict[ExecutorId, BlockHolder]] = {}
        self.blocks: dict[ExecutorId, set[BlockId]] = {}

    def put(self, block_id: BlockId, holder: BlockHolder) -> None:
        """Note that an executor holds a block; instead of what was known of it and this block."""
        executor_id = holder.location.executor_id
        self.holders.setdefault(block_id, {})[executor_id] = holder
        self.blocks.setdefault(executor_id, set()).add(block_id)

    def drop(self, block_id: BlockId, executor_id: ExecutorId) -> None:
        """Note that an executor does not hold a block any more."""
        holders = self.holders.get(block_id)
        if holders is not None and holders.pop(executor_id, None) is not None:
            if not holders:
                del self.holders[block_id]
            self.blocks[executor_id].discard(block_id)
            if not self.blocks[executor_id]:
                del self.blocks[executor_id]

    def locations(self, block_id: BlockId) -> tuple[BlockManagerId, ...]:
        """Return where a block is; the oldest copy first."""
        return tuple(holder.location for holder in self.holders.get(block_id, {}).values())

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

    def check(self) -> None:
        """Assert that both directions agree."""
        forth = {(block, executor) for block, holders in self.holders.items() for executor in holders}
        back = {(block, executor) for executor, blocks in self.blocks.items() for block in blocks}
        assert forth == back, (forth, back)
        assert all(self.holders.values())
        assert all(self.blocks.values())

    def assert_empty(self) -> None:
        """Assert that no block is known."""
        assert not self.holders, f"blocks left: {list(self.holders)}"
        assert not self.blocks, f"holders left: {list(self.blocks)}"
