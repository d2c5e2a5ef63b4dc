"""Executor ↔ runner: what a reader has its executor fetch from other processes. Tags 94–99, a part of `runner`.

A runner never opens a socket. It opens a fetch, and asks for one request's blocks after another, in whatever order
they arrive; asking for the next says that those before are consumed. The end of the attempt ends its fetches.
"""

from minispark.ids import ShuffleId, TaskId
from minispark.messages.task import BlockManagerId
from minispark.rpc.message import Ask, Attachment, Message, message

__all__ = ["FetchOpened", "FetchedBlocks", "NextFetched", "OpenFetch", "PeerBlocks"]


@message(94)
class FetchOpened(Message):
    """Executor → runner: what is to be fetched is on its way; ask for it under this number."""

    fetch_id: int


@message(95)
class PeerBlocks(Message):
    """Blocks of one reducer that one process serves: those of these maps, about so many bytes in all."""

    location: BlockManagerId
    map_ids: tuple[TaskId, ...]
    size_bytes: int


@message(96)
class OpenFetch(Ask[FetchOpened]):
    """Runner → executor: fetch one reducer's share of these map outputs from other processes."""

    shuffle_id: ShuffleId
    reducer: int
    requests: tuple[PeerBlocks, ...]


@message(97)
class FetchedBlocks(Message):
    """Executor → runner: the blocks of one request (its place in `OpenFetch.requests`), one after another.

    They are in `data`, or, if that is empty, in the file at `path`, which is there until the next is asked for. A
    `problem` says that they cannot be had: what is wrong with the block at `position`, and whether the writer's other
    outputs are as good as before.
    """

    number: int
    sizes: tuple[int, ...]
    path: str
    data: Attachment
    problem: str = ""
    position: int = 0
    only_this_output: bool = False


@message(98)
class NextFetched(Ask[FetchedBlocks]):
    """Runner → executor: I have read what you gave me before; what else has arrived?"""

    fetch_id: int
