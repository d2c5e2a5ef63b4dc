"""Runner ↔ executor about persisted partitions: part of the conversation in `messages.runner`. Tags 107–112."""

from typing import Literal

from minispark.ids import BlockId, RddId
from minispark.messages.storage_level import StorageLevel
from minispark.rpc.message import Ask, Message, message

__all__ = ["AbandonBlock", "BlockMove", "BlockPlan", "BlockRequest", "DropLiveBlocks", "NeedBlock", "WriteBlock"]


@message(112)
class BlockMove(Message):
    """A block whose memory is needed: its file has to be copied to the target, and then removed."""

    block_id: BlockId
    source: str
    target: str


@message(107)
class BlockPlan(Message):
    """Executor → runner: what to do with a block.

    "read": it is in the file `path`, of `size_bytes`; with `live`, its records may be kept as objects, too. This is
    also the last word about a block that is stored.
    "write": compute it into the file `path`; ask again before file and objects together exceed `size_bytes`; with
    `live`, go on keeping its records as objects.
    "move": first move these blocks out of memory, then ask again.
    "skip": there is no room; use what was computed, and keep nothing.
    """

    action: Literal["read", "write", "move", "skip"]
    path: str = ""
    size_bytes: int = 0
    live: bool = False
    moves: tuple[BlockMove, ...] = ()


@message(108)
class NeedBlock(Ask[BlockPlan]):
    """Runner → executor: I need this partition of a persisted RDD; if it is nowhere, I compute it.

    `generation` counts how often the RDD was persisted: blocks of an earlier time are gone. `live_bytes` is what I
    hold of it as objects (0: nothing); `lost_path` is a file that should have been it and cannot be read.
    """

    rdd_id: RddId
    partition: int
    level: StorageLevel
    generation: int
    live_bytes: int = 0
    lost_path: str = ""


@message(109)
class WriteBlock(Ask[BlockPlan]):
    """Runner → executor: so much of a block is written, may I go on? Or: it is `complete`, may it stay?

    `live_bytes` is the size of its records as objects (0: none are kept). With `full`, the file system has no room
    for what I have written. `moved` are blocks that I have moved as told, `unmoved` those that could not be.
    `has_added`: my attempt has added to accumulators, which counts only if it succeeds.
    """

    block_id: BlockId
    file_bytes: int
    live_bytes: int
    complete: bool
    full: bool = False
    moved: tuple[BlockId, ...] = ()
    unmoved: tuple[BlockId, ...] = ()
    has_added: bool = False


@message(110)
class AbandonBlock(Ask[BlockPlan]):
    """Runner → executor: computing this block failed; let the next one try. Answered with "skip"."""

    block_id: BlockId


@message(111)
class DropLiveBlocks(Message):
    """Executor → runner: let go of the objects of these blocks."""

    incarnation: int
    block_ids: tuple[BlockId, ...]


BlockRequest = NeedBlock | WriteBlock | AbandonBlock
