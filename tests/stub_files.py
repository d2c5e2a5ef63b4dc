"""A file system for tests whose server misbehaves: `stub://bob:secret@host/x` to fsspec, kept in this process."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fsspec
from fsspec.implementations.memory import MemoryFileSystem

__all__ = ["TOKEN", "StubFiles", "stub_files"]

TOKEN = "t0k3n"


class StubFiles(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Files in memory, until the server is told to fail or to stand still."""

    protocol = "stub"
    store: dict[str, Any] = {}  # noqa: RUF012 - as its base has it
    pseudo_dirs = [""]  # noqa: RUF012 - as its base has it
    refuses = False
    stands = False
    goes_on = threading.Event()
    asked = threading.Event()
    standing = threading.Semaphore(0)  # released by each request that stands

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + str(path).removeprefix("stub://").strip("/")

    def answer(self, path: str) -> None:
        """Do what the server does at every request."""
        self.asked.set()
        if self.stands:
            self.standing.release()
            self.goes_on.wait()
        if self.refuses:
            try:
                raise RuntimeError(f"403 for stub:/{path}?sig={TOKEN}")
            except RuntimeError as error:
                raise PermissionError(13, "refused", f"stub:/{path}") from error

    def info(self, path: str, **options: Any) -> Any:
        """Tell what a file is."""
        self.answer(path)
        return super().info(path, **options)

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        self.answer(path)
        if mode == "wb" and "data" not in options:
            return Upload(self, path)
        return super()._open(path, mode, **options)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Make a directory."""
        self.answer(path)
        super().makedirs(path, exist_ok)


class Upload(io.BytesIO):
    """A file that appears when it is closed, however that comes, as those of object stores do."""

    def __init__(self, files: StubFiles, path: str) -> None:
        super().__init__()
        self.files, self.path = files, path

    def close(self) -> None:
        if not self.closed:
            with MemoryFileSystem._open(self.files, self.path, "wb") as file:
                file.write(self.getvalue())
        super().close()


@contextmanager
def stub_files() -> Iterator[type[StubFiles]]:
    """Have fsspec know the file system, empty; a thread that stands in it goes on at the end."""
    fsspec.register_implementation("stub", StubFiles, clobber=True)
    StubFiles.clear_instance_cache()
    StubFiles.store, StubFiles.pseudo_dirs = {}, [""]
    StubFiles.refuses = StubFiles.stands = False
    StubFiles.goes_on, StubFiles.asked = threading.Event(), threading.Event()
    try:
        yield StubFiles
    finally:
        StubFiles.goes_on.set()
