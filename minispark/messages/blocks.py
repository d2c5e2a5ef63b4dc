"""Block managers ↔ master: who has which block. Tags 140–169. Source: Spark's BlockManagerMessages."""

from minispark.ids import BlockId, ExecutorId
from minispark.messages.task import BlockManagerId
from minispark.rpc.message import Ask, Message, message

__all__ = [
    "BlockLocations",
    "BlockRemoved",
    "GetLocations",
    "RemoveBlock",
    "RemoveExecutorBlocks",
    "ToBlockManagerMaster",
    "UpdateBlockInfo",
]


@message(140)
class UpdateBlockInfo(Message):
    """Executor → master: I hold this block now (`size_bytes` on `path`), or no more (`path` empty)."""

    location: BlockManagerId
    block_id: BlockId
    path: str
    size_bytes: int


@message(141)
class BlockLocations(Message):
    """Master → asker: the holders of a block; empty if there are none."""

    locations: tuple[BlockManagerId, ...]


@message(142)
class GetLocations(Ask[BlockLocations]):
    """Anyone → master: who has this block?"""

    block_id: BlockId


@message(143)
class BlockRemoved(Message):
    """Master → asker: nobody holds the block any more; `holders` had it."""

    holders: int


@message(144)
class RemoveBlock(Ask[BlockRemoved]):
    """Anyone → master: remove this block wherever it is."""

    block_id: BlockId


@message(145)
class RemoveExecutorBlocks(Message):
    """Scheduler → master: that executor is gone, forget its blocks."""

    executor_id: ExecutorId


ToBlockManagerMaster = UpdateBlockInfo | GetLocations | RemoveBlock | RemoveExecutorBlocks
