"""What goes over the bulk service "blocks", between executors, shuffle services and the driver. Tags 350–369.

A channel carries one request after another; data follows a head as a stream (`rpc.bulk`). Messages carry ids, never
paths: what an id stands for is the server's to know.
"""

from minispark.ids import BlockId, ExecutorId, ShuffleId, TaskId
from minispark.messages.task import BlockManagerId
from minispark.rpc.message import Ask, Message, message

__all__ = [
    "BlockHead",
    "FetchBlock",
    "FetchMapOutputs",
    "GetMigrationPeers",
    "MapOutputMoved",
    "MapOutputStored",
    "MapOutputsHead",
    "MigrationPeers",
    "MoveMapOutput",
    "RegisterDirectory",
    "RemoveBlockFile",
    "RemoveMapOutputs",
    "Taken",
    "UploadMapOutput",
]


@message(350)
class MapOutputsHead(Message):
    """Server → asker: sizes and crc32 (−1: none was kept) of the blocks, whose bytes follow one after another.

    `problems` says what keeps each block from being served; empty for one that is. If there is any, nothing follows.
    `directory_is_there` says that the rest of the writer's directory can be read: only these outputs are damaged.
    """

    sizes: tuple[int, ...]
    checksums: tuple[int, ...]
    problems: tuple[str, ...]
    directory_is_there: bool


@message(351)
class FetchMapOutputs(Message):
    """Executor → executor or shuffle service: send me one reducer's share of these map outputs, in this order."""

    executor_id: ExecutorId
    shuffle_id: ShuffleId
    reducer: int
    map_ids: tuple[TaskId, ...]


@message(352)
class BlockHead(Message):
    """Server → asker: the block's size, and its bytes follow; −1, and nothing follows: it is not here."""

    size_bytes: int


@message(353)
class FetchBlock(Message):
    """Anyone → executor or shuffle service: send me this block of that executor."""

    executor_id: ExecutorId
    block_id: BlockId


@message(354)
class RemoveBlockFile(Message):
    """Driver → executor: I have read this block, remove it; answered by `Taken`."""

    executor_id: ExecutorId
    block_id: BlockId


@message(355)
class RegisterDirectory(Message):
    """Executor that starts → shuffle service of its host: serve my session directory; answered by `Taken`.

    `path` is relative to the directory that the worker gave the application.
    """

    executor_id: ExecutorId
    path: str


@message(356)
class Taken(Message):
    """Server → asker: done."""


@message(357)
class MapOutputStored(Message):
    """Executor that took a map output over → the one that goes: under this location it is found from now on.

    A `problem` says why it was not taken; with `is_leaving` because this executor goes too: ask another.
    """

    location: BlockManagerId
    problem: str = ""
    is_leaving: bool = False


@message(358)
class UploadMapOutput(Message):
    """Executor that goes → one that stays: keep this map output; the index's bytes and the data's follow."""

    shuffle_id: ShuffleId
    map_id: TaskId
    index_bytes: int
    data_bytes: int


@message(359)
class MapOutputMoved(Message):
    """Driver → asker: whether the table has the new place; no if the output is of no use any more."""

    moved: bool


@message(360)
class MoveMapOutput(Ask[MapOutputMoved]):
    """Executor that goes → driver (endpoint `MapOutputTracker`): that output is found there from now on."""

    shuffle_id: ShuffleId
    map_id: TaskId
    location: BlockManagerId


@message(361)
class MigrationPeers(Message):
    """Driver → asker: the executors that stay, those on other hosts first."""

    locations: tuple[BlockManagerId, ...]


@message(362)
class GetMigrationPeers(Ask[MigrationPeers]):
    """Executor that goes → driver (endpoint `MapOutputTracker`): who can take my map outputs?"""

    executor_id: ExecutorId


@message(364)
class RemoveMapOutputs(Message):
    """Driver → executor or shuffle service: nobody needs these map outputs any more; answered by `Taken`.

    All of a shuffle (`map_id` −1), or those of one attempt, whatever it wrote for (`shuffle_id` −1).
    """

    executor_id: ExecutorId
    shuffle_id: ShuffleId
    map_id: TaskId


BlocksRequest = (
    FetchMapOutputs | FetchBlock | RemoveBlockFile | RegisterDirectory | UploadMapOutput | RemoveMapOutputs
)
