"""FileRoot: the folder in which tasks, or the driver, find the application's files by name.

Each name is a link: to the file where it lies (local mode), or to its content that was fetched, which is kept by its
digest. What is packed is unpacked once, by its digest. Driver and executors have one each; all of it runs off the
loop.
"""

import hashlib
import os
from pathlib import Path
from typing import Final

from minispark.errors import MiniSparkError
from minispark.messages.distribution import AddedFile
from minispark.storage.archives import unpack

__all__ = ["FileRoot", "digest_of"]

CHUNK: Final = 1 << 20
ZIP_SUFFIXES: Final = (".zip", ".egg", ".whl", ".jar")


def digest_of(path: Path) -> str:
    """Return the digest of a file's content.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.blake2b(digest_size=20)
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class FileRoot:
    """The files of an application, by name.

    Args:
        directory: a session directory.

    Attributes:
        path: the folder that holds them.
        content: where what was fetched is kept.
        import_paths: what goes to `sys.path`, in order.
    """

    def __init__(self, directory: str) -> None:
        self.path = Path(directory) / "files"
        self.content = Path(directory) / "content"
        self.import_paths: list[str] = []

    def make(self) -> None:
        """Make the folders."""
        for folder in (self.path, self.content):
            folder.mkdir(mode=0o700, exist_ok=True)

    def content_of(self, file: AddedFile) -> Path:
        """Return where the content of a file that was fetched is."""
        return self.content / file.digest

    def check_content(self, file: AddedFile, path: Path) -> None:
        """Make sure that a file that has come is the one that was added.

        Raises:
            MiniSparkError: it is not; it is removed.
        """
        if digest_of(path) != file.digest:
            path.unlink(missing_ok=True)
            raise MiniSparkError(f"{file.name} has changed in the driver since it was added: add it again")

    def place(self, file: AddedFile, source: Path, *, is_packed: bool) -> None:
        """Let a file be found by its name.

        Args:
            file: what it is.
            source: where its content is.
            is_packed: whether that has to be unpacked.

        Raises:
            ConfigurationError: it is an archive that cannot be unpacked.
            OSError: there is no room.
        """
        if is_packed:
            folder = self.content / f"{file.digest}.unpacked"
            if not folder.exists():
                unpack(source, file.format, folder)
            source = folder
        link = self.path / file.name
        fresh = self.path / f".{file.name}.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(source)
        os.replace(fresh, link)  # never a moment without the file
        if file.kind == "py":
            place = link if file.name.lower().endswith(ZIP_SUFFIXES) else self.path
            if os.fspath(place) not in self.import_paths:
                self.import_paths.append(os.fspath(place))
