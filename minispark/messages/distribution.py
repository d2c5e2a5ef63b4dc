"""What the driver hands out to all executors: broadcast values in pieces, and files. Tags 370–389.

The control messages go between an executor's `Supply` and the driver's `BroadcastMaster` and `FileMaster`; the pieces
travel on bulk connections of the service `broadcast`, whose two messages stand here, too.
Source: Spark's TorrentBroadcast, and the files of its TaskDescription.
"""

from typing import Final, Literal

from minispark.ids import BroadcastId
from minispark.messages.task import BlockManagerId
from minispark.rpc.message import Ask, Message, message
from minispark.rpc.ref import RpcEndpointRef

__all__ = [
    "FILES_VERSION",
    "AddedFile",
    "BroadcastFacts",
    "BroadcastHolder",
    "FetchGivenUp",
    "FetchPiece",
    "FileKind",
    "FileSet",
    "GetFiles",
    "LocateBroadcast",
    "PieceFound",
    "RemoveBroadcast",
    "ToBroadcastMaster",
    "ToFileMaster",
]

FILES_VERSION: Final = "minispark.files.version"
"""The property of a job's tasks that says which set of added files they need; absent while no file was added."""

FileKind = Literal["file", "py", "archive", "directory"]


@message(370)
class BroadcastHolder(Message):
    """Someone who has pieces of a broadcast: one byte a piece in `pieces`, 1 for those that it has; empty: all."""

    location: BlockManagerId
    pieces: bytes


@message(371)
class BroadcastFacts(Message):
    """Master → executor: what a broadcast's file is made of, and who has which part of it.

    `checksums` holds four bytes for each piece, big-endian: zlib's Adler-32. All pieces have `piece_bytes` but the
    last.
    """

    size_bytes: int
    piece_bytes: int
    checksums: bytes
    holders: tuple[BroadcastHolder, ...]


@message(372)
class LocateBroadcast(Ask[BroadcastFacts]):
    """Executor → master: who has that broadcast? This is what I have of it (`pieces` as in `BroadcastHolder`).

    Asked again while pieces come, which makes the asker a source for others. `supply` hears of the removal. With
    `shares`, an asker waits while another executor of its host fetches, and then takes the file from that one.
    """

    broadcast_id: BroadcastId
    location: BlockManagerId
    pieces: bytes
    supply: RpcEndpointRef
    shares: bool


@message(373)
class RemoveBroadcast(Message):
    """Driver → executor: drop what you have of that broadcast; who needs it again asks for it."""

    broadcast_id: BroadcastId


@message(374)
class FetchPiece(Message):
    """Executor → any holder, on a bulk connection: send me that piece."""

    broadcast_id: BroadcastId
    index: int


@message(375)
class PieceFound(Message):
    """Holder → executor: the piece has so many bytes, which follow as a stream."""

    size_bytes: int


@message(376)
class AddedFile(Message):
    """One file of the application: what it is used as, its name there, its content's BLAKE2b and where to fetch it.

    A `directory` is served as a zip file and unpacked; an `archive` is served as it is and unpacked under `name`.
    `format` is how an archive or a directory is packed: "zip", "tar"; empty for others.
    """

    kind: FileKind
    name: str
    digest: str
    size_bytes: int
    uri: str
    format: str = ""


@message(377)
class FileSet(Message):
    """Driver → executor: all files that were added so far; each addition makes a new version."""

    version: int
    files: tuple[AddedFile, ...]


@message(378)
class GetFiles(Ask[FileSet]):
    """Executor → driver (endpoint `FileMaster`): the files, as of that version or later."""

    version: int


@message(379)
class FetchGivenUp(Message):
    """Executor → master: I do not fetch that broadcast any more; others of my host must not wait for me."""

    broadcast_id: BroadcastId
    location: BlockManagerId


ToBroadcastMaster = LocateBroadcast | FetchGivenUp
ToFileMaster = GetFiles
