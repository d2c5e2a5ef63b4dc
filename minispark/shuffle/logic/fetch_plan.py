"""What a reducer reads from whom, and in which order.

Blocks whose files the reader can open come first, in the order of the maps, so that a reducer sees values in a stable
order. The others are grouped by address into requests of a fifth of the bytes that may be in flight, so that about
five peers are asked at once; a reducer starts at a peer of its own, so that not all ask the same one first.
"""

from collections.abc import Callable, Iterable
from typing import Final

from minispark.messages.task import BlockManagerId
from minispark.record import Record, record
from minispark.shuffle.logic.map_outputs import MapOutputLocation

__all__ = ["FetchPlan", "FetchRequest", "plan_fetches"]

REQUESTS_IN_FLIGHT: Final = 5

Peer = tuple[str, str, int, str]  # a BlockManagerId's fields; messages have no hash


@record
class FetchRequest(Record):
    """Blocks to ask of one peer at once."""

    location: BlockManagerId
    blocks: tuple[MapOutputLocation, ...]

    @property
    def size_bytes(self) -> int:
        """About how many bytes the answer has."""
        return sum(block.size_bytes for block in self.blocks)


@record
class FetchPlan(Record):
    """The blocks to read from files, and the requests to send."""

    local: tuple[MapOutputLocation, ...]
    remote: tuple[FetchRequest, ...]


def plan_fetches(
    blocks: Iterable[MapOutputLocation],
    is_local: Callable[[BlockManagerId], bool],
    reducer: int,
    max_bytes_in_flight: int,
) -> FetchPlan:
    """Plan one reducer's reading.

    Args:
        blocks: what there is to read, without empty blocks.
        is_local: whether the files of a location can be opened here; asked once per location.
        reducer: the reducer's number; it turns the order of the peers.
        max_bytes_in_flight: bytes asked for and not yet arrived, at most; a larger block goes alone.
    """
    readable: dict[Peer, bool] = {}
    local: list[MapOutputLocation] = []
    remote: dict[Peer, list[MapOutputLocation]] = {}
    for block in blocks:
        location = block.location
        peer = (location.executor_id, location.host, location.port, location.directory)
        if peer not in readable:
            readable[peer] = is_local(location)
        if readable[peer]:
            local.append(block)
        else:
            remote.setdefault(peer, []).append(block)
    peers = list(remote.values())
    first = reducer % len(peers) if peers else 0
    limit = max(1, max_bytes_in_flight // REQUESTS_IN_FLIGHT)
    return FetchPlan(
        tuple(local),
        tuple(request for peer in peers[first:] + peers[:first] for request in split_requests(peer, limit)),
    )


def split_requests(blocks: list[MapOutputLocation], limit: int) -> Iterable[FetchRequest]:
    """Yield requests of one peer's blocks, each closed when it reaches the limit."""
    taken: list[MapOutputLocation] = []
    size = 0
    for block in blocks:
        taken.append(block)
        size += block.size_bytes
        if size >= limit:
            yield FetchRequest(block.location, tuple(taken))
            taken, size = [], 0
    if taken:
        yield FetchRequest(taken[0].location, tuple(taken))
