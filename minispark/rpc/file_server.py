"""The file server of an env: files, package archives and directories that peers fetch by URI, over bulk connections.

URIs are `minispark://host:port/files/name`, `…/jars/name` and, for a directory added under `/base`, `…/base/path`.
The driver's context adds what its executors need; nothing else of the disk can be reached.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from minispark.errors import RpcAddressError, RpcError, RpcFileNotFound
from minispark.rpc.bulk import BulkChannel
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.message import Message, message

if TYPE_CHECKING:
    from minispark.rpc.env import RpcEnv

__all__ = ["FetchFile", "FileFound", "FileServer"]

SERVICE = "files"
RESERVED = ("/files", "/jars", "/content")


@message(32020)
class FetchFile(Message):
    """Client → server: send me the file of this path, as in its URI."""

    path: str


@message(32021)
class FileFound(Message):
    """Server → client: it has so many bytes, which follow."""

    size_bytes: int


class FileServer:
    """Serves files of an env, and fetches those of others; `env.files`."""

    def __init__(self, env: "RpcEnv") -> None:
        self.env = env
        self.files: dict[str, Path] = {}
        self.directories: dict[str, Path] = {}
        env.bulk.serve(SERVICE, self.handle)

    def add_file(self, path: Path) -> str:
        """Serve a file; return its URI.

        Raises:
            ValueError: another file of that name is served, or there is no such file.
        """
        return self.add("/files", path)

    def add_jar(self, path: Path) -> str:
        """Serve a package archive (zip, wheel); return its URI.

        Raises:
            ValueError: another archive of that name is served, or there is no such file.
        """
        return self.add("/jars", path)

    def add_content(self, digest: str, path: Path) -> str:
        """Serve a file by the digest of its content, whatever it is called; return its URI.

        Raises:
            ValueError: there is no such file.
        """
        self.files.pop(f"/content/{digest}", None)  # the same content lies elsewhere now
        return self.add("/content", path, digest)

    def add(self, base: str, path: Path, name: str = "") -> str:
        """Serve a file under a base, by its own name or by another."""
        path = path.absolute()
        key = f"{base}/{name or path.name}"
        if not path.is_file():
            raise ValueError(f"there is no file {path}")
        if self.files.setdefault(key, path) != path:
            raise ValueError(f"{key} is already {self.files[key]}, not {path}")
        return self.uri(key)

    def add_directory(self, base_uri: str, path: Path) -> str:
        """Serve a directory under `/base`; return its URI.

        Raises:
            ValueError: the base is `/`, `/files`, `/jars` or `/content`, is taken by another directory, or there is
                no such one.
        """
        base = "/" + base_uri.strip("/")
        path = path.absolute()
        if base in ("/", *RESERVED):
            raise ValueError(f"a directory cannot be served under {base}")
        if not path.is_dir():
            raise ValueError(f"there is no directory {path}")
        if self.directories.setdefault(base, path) != path:
            raise ValueError(f"{base} is already {self.directories[base]}, not {path}")
        return self.uri(base)

    def remove(self, uri: str) -> None:
        """Serve a file or a directory no more; nothing happens if it is not served."""
        _, path = split_uri(uri)
        self.files.pop(path, None)
        self.directories.pop(path, None)

    def uri(self, path: str) -> str:
        """Return the URI of a path.

        Raises:
            RpcError: the env does not listen.
        """
        if self.env.address is None or self.env.address.is_unix:
            raise RpcError(f"the RpcEnv {self.env.name!r} does not listen on a port, so nobody can fetch its files")
        return f"{self.env.address}{quote(path)}"

    def find(self, path: str) -> Path | None:
        """Return the file that a path of a URI names; None if there is none."""
        if path in self.files:
            return self.files[path]
        for base, directory in self.directories.items():
            if path.startswith(base + "/"):
                found = (directory / path[len(base) + 1 :]).resolve()
                # a path with .. or a link must not lead out of the directory
                return found if found.is_relative_to(directory.resolve()) else None
        return None

    async def handle(self, channel: BulkChannel) -> None:
        """Serve one channel: a file per request."""
        while not channel.connection.closed.done():
            request = await channel.receive()
            if not isinstance(request, FetchFile):
                raise RpcError(f"the file server does not understand {type(request).__name__}")
            path = self.find(request.path)
            fd = None if path is None else await self.env.world.run_blocking(open_file, path)
            if fd is None:
                await channel.fail(RpcFileNotFound(f"there is no file {request.path} at {self.env.address}"))
                continue
            try:
                size = os.fstat(fd).st_size
                await channel.send(FileFound(size))
                await channel.send_file(fd, 0, size)
                await channel.end(size)
            finally:
                os.close(fd)

    async def fetch(self, uri: str, destination: Path) -> int:
        """Fetch a file into a new file, which appears only when it is complete; return its size in bytes.

        Raises:
            RpcFileNotFound: it is not served.
            RpcError: the server cannot be reached, or broke off.
        """
        address, path = split_uri(uri)
        partial = destination.with_name(destination.name + ".partial")
        blocking = self.env.world.run_blocking
        async with await self.env.bulk.open(address, SERVICE) as channel:
            await channel.send(FetchFile(path))
            found = await channel.receive()
            if not isinstance(found, FileFound):
                raise RpcError(f"{uri}: {type(found).__name__} came in place of the file")
            file = await blocking(open, partial, "wb")
            try:
                with file:
                    async for piece in channel.receive_data():
                        await blocking(file.write, piece)
                await blocking(os.replace, partial, destination)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
        return found.size_bytes


def open_file(path: Path) -> int | None:
    """Open a file for reading; None if that cannot be."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path.is_file() else None
    except OSError:
        return None


def split_uri(uri: str) -> tuple[RpcAddress, str]:
    """Split a URI into the server's address and the path.

    Raises:
        RpcAddressError: it is not a URI of a file server.
    """
    scheme, mark, rest = uri.partition("://")
    authority, slash, path = rest.partition("/")
    if scheme != "minispark" or not mark or not slash or not path:
        raise RpcAddressError(f"{uri!r} is not the URI of a file: minispark://host:port/files/name is needed")
    return RpcAddress.parse(f"{scheme}://{authority}"), "/" + unquote(path)
