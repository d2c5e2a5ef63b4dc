"""Block managers ↔ master: who has which block. Tags 140–169.

146 is `StorageLevel`. Source: Spark's BlockManagerMessages.
"""

from minispark.ids import BlockId, ExecutorId, RddId
from minispark.messages.storage_level import StorageLevel
from minispark.messages.task import BlockManagerId
from minispark.rpc.message import Ask, Message, message
from minispark.rpc.ref import RpcEndpointRef

__all__ = [
    "BlockFile",
    "BlockInfoUpdated",
    "BlockLocations",
    "BlockRemoved",
    "BlockTaken",
    "DecommissionBlockManager",
    "GetLocations",
    "RegisterBlockManager",
    "RemoveBlock",
    "RemoveExecutorBlocks",
    "RemoveHostBlocks",
    "RemoveRddBlocks",
    "ReplicateBlock",
    "TakeBlock",
    "ToBlockManager",
    "ToBlockManagerMaster",
    "UpdateBlockInfo",
]


@message(152)
class BlockInfoUpdated(Message):
    """Master → executor: noted; or (`is_known` false) you are not known here, register again."""

    is_known: bool


@message(140)
class UpdateBlockInfo(Ask[BlockInfoUpdated]):
    """Executor → master: I hold this block now (`size_bytes` on `path`), or no more (`path` empty).

    `in_memory` tells whether the file counts as memory; `live_bytes` is what objects of its records take beside it;
    `level` and `generation` are those of the RDD, as of which it is kept. `service_port`, if it is not 0: the shuffle
    service of my host, which listens there, serves the file when I am gone.
    """

    location: BlockManagerId
    block_id: BlockId
    path: str
    size_bytes: int
    in_memory: bool = False
    live_bytes: int = 0
    level: StorageLevel = StorageLevel.NONE
    generation: int = 0
    service_port: int = 0


@message(154)
class BlockFile(Message):
    """The file of one copy of a block; `is_served`: by the shuffle service of its host, the executor is gone."""

    path: str
    is_served: bool = False


@message(141)
class BlockLocations(Message):
    """Master → asker: the holders of a block, and its file at each; empty if there are none."""

    locations: tuple[BlockManagerId, ...]
    files: tuple[BlockFile, ...]


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


@message(155)
class RemoveHostBlocks(Message):
    """Scheduler → master: a worker is gone; forget what the shuffle service of its host served."""

    host: str


@message(153)
class DecommissionBlockManager(Message):
    """Scheduler → master: that executor was told to go; it gets no more copies."""

    executor_id: ExecutorId


@message(147)
class RegisterBlockManager(Message):
    """Executor → master: I keep blocks, in so much memory; tell me at `manager` what shall go."""

    location: BlockManagerId
    max_memory_bytes: int
    manager: RpcEndpointRef


@message(148)
class RemoveRddBlocks(Message):
    """Master → executor: that RDD is persisted no more, as of the times up to `generation` that it was."""

    rdd_id: RddId
    generation: int


@message(149)
class ReplicateBlock(Message):
    """Master → executor: get yourself a copy of this persisted partition."""

    rdd_id: RddId
    partition: int
    level: StorageLevel
    generation: int


@message(150)
class BlockTaken(Message):
    """Executor → executor that goes: the block is here now, or cannot be; perhaps because I was told to go, too."""

    is_here: bool
    is_leaving: bool


@message(151)
class TakeBlock(Ask[BlockTaken]):
    """Executor that goes → executor: get yourself this persisted partition before I am gone."""

    rdd_id: RddId
    partition: int
    level: StorageLevel
    generation: int


ToBlockManager = RemoveRddBlocks | ReplicateBlock | TakeBlock
ToBlockManagerMaster = (
    UpdateBlockInfo
    | GetLocations
    | RemoveBlock
    | RemoveExecutorBlocks
    | RemoveHostBlocks
    | DecommissionBlockManager
    | RegisterBlockManager
)
