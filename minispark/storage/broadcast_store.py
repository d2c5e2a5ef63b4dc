"""BroadcastStore: the files of broadcasts in one session directory, the driver's or an executor's, and their serving.

Peers get pieces over bulk connections, from whoever has them: a file that is still being fetched serves those that
have arrived. Files are removed when nobody needs them; who has one mapped keeps it until it is unmapped.
"""

import contextlib
import os
from dataclasses import dataclass
from typing import Final

from minispark.errors import MiniSparkError
from minispark.ids import BroadcastId
from minispark.messages.distribution import FetchPiece, PieceFound
from minispark.rpc.bulk import BulkChannel
from minispark.rpc.world import World
from minispark.storage.broadcast_file import broadcast_path, no_room, piece_range

__all__ = ["SERVICE", "BroadcastStore", "Stored"]

SERVICE: Final = "broadcast"


@dataclass(slots=True)
class Stored:
    """One file.

    Attributes:
        path: where it is.
        size_bytes: how large it is when it is complete.
        piece_bytes: how large its pieces are.
        have: one byte a piece, 1 for those that are here; None: all are.
    """

    path: str
    size_bytes: int
    piece_bytes: int
    have: bytearray | None = None


class BroadcastStore:
    """The broadcasts that a session directory has.

    Args:
        directory: the session directory.
        world: files are read off the loop.
    """

    def __init__(self, directory: str, world: World) -> None:
        self.directory = directory
        self.world = world
        self.stored: dict[BroadcastId, Stored] = {}

    def path_of(self, broadcast_id: BroadcastId) -> str:
        """Return where the file of a broadcast is, or would be."""
        return broadcast_path(self.directory, broadcast_id)

    def complete(self, broadcast_id: BroadcastId) -> str | None:
        """Return the path of a file that is here with all its pieces; None if there is none."""
        stored = self.stored.get(broadcast_id)
        return stored.path if stored is not None and stored.have is None else None

    def add(self, broadcast_id: BroadcastId, size_bytes: int, piece_bytes: int) -> None:
        """Take note of a file that is complete."""
        self.stored[broadcast_id] = Stored(self.path_of(broadcast_id), size_bytes, piece_bytes)

    def begin(self, broadcast_id: BroadcastId, size_bytes: int, piece_bytes: int, have: bytearray) -> int:
        """Make a file for pieces that will come; return a descriptor to write them.

        Raises:
            MiniSparkError: it cannot be made; the text says why.
        """
        path = self.path_of(broadcast_id)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise no_room(path, size_bytes, error) from error
        self.stored[broadcast_id] = Stored(path, size_bytes, piece_bytes, have)
        return fd

    def share(self, broadcast_id: BroadcastId, directory: str, size_bytes: int, piece_bytes: int) -> bool:
        """Take over the file of another session directory of this host, without copying; False if that cannot be."""
        path = self.path_of(broadcast_id)
        try:
            os.stat(os.path.join(directory, "token"))
            os.link(broadcast_path(directory, broadcast_id), path)
        except OSError:
            return False
        self.stored[broadcast_id] = Stored(path, size_bytes, piece_bytes)
        return True

    def completed(self, broadcast_id: BroadcastId) -> str:
        """Take note that the last piece has come; return the path."""
        stored = self.stored[broadcast_id]
        stored.have = None
        return stored.path

    def remove(self, broadcast_id: BroadcastId) -> None:
        """Remove a file; nothing happens if it is not here."""
        stored = self.stored.pop(broadcast_id, None)
        if stored is not None:
            with contextlib.suppress(OSError):
                os.unlink(stored.path)

    def piece(self, request: FetchPiece) -> tuple[Stored, int, int]:
        """Return the file that has a piece, where it begins in there, and its size.

        Raises:
            MiniSparkError: it is not here.
        """
        stored = self.stored.get(request.broadcast_id)
        is_part = stored is not None and 0 <= request.index * stored.piece_bytes < stored.size_bytes
        if stored is None or not is_part or not (stored.have is None or stored.have[request.index]):
            raise MiniSparkError(f"piece {request.index} of broadcast {request.broadcast_id} is not here")
        return stored, *piece_range(request.index, stored.size_bytes, stored.piece_bytes)

    async def serve(self, channel: BulkChannel) -> None:
        """Serve one channel: a piece per request."""
        while not channel.connection.closed.done():
            request = await channel.receive()
            if not isinstance(request, FetchPiece):
                raise MiniSparkError(f"the broadcast service does not understand {type(request).__name__}")
            stored, offset, size = self.piece(request)
            fd = await self.world.run_blocking(os.open, stored.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                await channel.send(PieceFound(size))
                await channel.send_file(fd, offset, size)
                await channel.end(size)
            finally:
                os.close(fd)
