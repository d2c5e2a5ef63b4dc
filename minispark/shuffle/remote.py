"""The runner's side of fetching: what the executor fetched from other processes, as batches of records.

Used by `reader`. The executor fetches while the runner computes; what it gives was verified. Must not open a socket.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Final

from minispark.errors import MiniSparkError
from minispark.ids import ShuffleId
from minispark.messages.fetching import FetchedBlocks, FetchOpened, NextFetched, OpenFetch, PeerBlocks
from minispark.messages.runner import RunnerReply, RunnerRequest
from minispark.shuffle.logic.fetch_plan import FetchRequest
from minispark.shuffle.logic.map_outputs import MapOutputLocation
from minispark.shuffle.pairs import read_frames

__all__ = ["NotFetched", "RemoteBlocks"]

BUFFER_BYTES: Final = 1 << 20


class NotFetched(MiniSparkError):
    """A block cannot be fetched; `only_this_output` as in `FetchFailed`."""

    def __init__(self, block: MapOutputLocation, text: str, *, only_this_output: bool) -> None:
        super().__init__(text)
        self.block = block
        self.only_this_output = only_this_output


class RemoteBlocks:
    """One reducer's blocks that are fetched; fetching begins at once.

    Args:
        shuffle_id: the shuffle.
        reducer: the partition.
        requests: what is asked of whom.
        ask: asks the executor and waits.
    """

    def __init__(
        self,
        shuffle_id: ShuffleId,
        reducer: int,
        requests: Sequence[FetchRequest],
        ask: Callable[[RunnerRequest], RunnerReply],
    ) -> None:
        self.requests = requests
        self.ask = ask
        wanted = [
            PeerBlocks(request.location, tuple(block.map_id for block in request.blocks), request.size_bytes)
            for request in requests
        ]
        opened = ask(OpenFetch(shuffle_id, reducer, tuple(wanted)))
        assert isinstance(opened, FetchOpened)
        self.fetch_id = opened.fetch_id

    def batches(self) -> Iterator[bytes]:
        """Yield the batches of all blocks, request after request as they arrive.

        Raises:
            NotFetched: a block cannot be had, or is no map output.
        """
        for _ in self.requests:
            fetched = self.ask(NextFetched(self.fetch_id))
            assert isinstance(fetched, FetchedBlocks)
            blocks = self.requests[fetched.number].blocks
            if fetched.problem:
                raise NotFetched(blocks[fetched.position], fetched.problem, only_this_output=fetched.only_this_output)
            with source_of(fetched) as source:
                for block, size in zip(blocks, fetched.sizes, strict=True):
                    yield from frames_of(block, source, size)


def source_of(fetched: FetchedBlocks) -> IO[bytes]:
    """Return what to read fetched blocks from."""
    return open(fetched.path, "rb", buffering=BUFFER_BYTES) if fetched.path else io.BytesIO(fetched.data)


def frames_of(block: MapOutputLocation, source: IO[bytes], size_bytes: int) -> Iterator[bytes]:
    """Yield the batches of one block.

    Raises:
        NotFetched: it is cut off, or no map output.
    """
    try:
        yield from read_frames(source, size_bytes)
    except EOFError as error:
        raise NotFetched(block, str(error), only_this_output=True) from error
