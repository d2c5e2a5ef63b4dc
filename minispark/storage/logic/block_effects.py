"""What `node_blocks` wants done, and what it has to be told: who asks, and how files are named.

`block_manager` performs the effects.
"""

from collections.abc import Callable
from typing import NamedTuple

from minispark.ids import BlockId, TaskId
from minispark.messages.runner_blocks import BlockPlan
from minispark.messages.storage_level import StorageLevel
from minispark.record import Record, record

__all__ = ["Answer", "Asker", "DropLive", "Effect", "Fetch", "MoveFile", "Paths", "RemoveFile", "Report"]


class Asker(NamedTuple):
    """Who waits for an answer: the ask of an attempt in a slot."""

    slot: int
    task_id: TaskId
    ask_id: int


@record
class Answer(Record):
    """Tell a runner."""

    asker: Asker
    plan: BlockPlan


@record
class RemoveFile(Record):
    """Remove a file."""

    path: str


@record
class DropLive(Record):
    """Have a runner let go of the objects of blocks."""

    slot: int
    block_ids: tuple[BlockId, ...]


@record
class Report(Record):
    """Tell the master where a block is now: nowhere if the path is empty."""

    block_id: BlockId
    path: str
    size_bytes: int
    level: StorageLevel
    in_memory: bool
    live_bytes: int
    generation: int


@record
class Fetch(Record):
    """Look for a block on other executors, then say `fetched`."""

    block_id: BlockId
    path: str


@record
class MoveFile(Record):
    """Copy the file of a block to disk, then say `moved`."""

    block_id: BlockId
    source: str
    target: str


Effect = Answer | RemoveFile | DropLive | Report | Fetch | MoveFile


class Paths(NamedTuple):
    """Names new files: on tmpfs, if bytes fit there (else on disk), and on disk."""

    memory: Callable[[BlockId, int], str]
    disk: Callable[[BlockId], str]
