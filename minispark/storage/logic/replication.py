"""Which executor gets the next copy of a block. Used by `block_manager_master`.

Each block has its own order of executors, drawn from names alone: the same on every run, and even over many blocks.
Executors on hosts without a copy come first. Source: Spark's BasicBlockReplicationPolicy.
"""

from collections.abc import Iterable
from zlib import crc32

from minispark.ids import BlockId
from minispark.messages.task import BlockManagerId

__all__ = ["next_peer"]


def next_peer(
    block_id: BlockId, holders: Iterable[BlockManagerId], peers: Iterable[BlockManagerId]
) -> BlockManagerId | None:
    """Return who is to hold a block besides its holders; None if there is nobody."""
    holding = {holder.executor_id for holder in holders}
    hosts = {holder.host for holder in holders}
    others = [peer for peer in peers if peer.executor_id not in holding]
    if not others:
        return None
    return min(others, key=lambda peer: (peer.host in hosts, crc32(f"{block_id} {peer.executor_id}".encode())))
