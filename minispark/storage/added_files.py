"""What a path means that a user adds to the application: its canonical place, its name, its digest, how it is packed.

Called by `distribution`, off the loop: it reads files, and packs folders that have to travel.
"""

import os
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from minispark.errors import ConfigurationError
from minispark.messages.distribution import FileKind
from minispark.record import Record, record
from minispark.storage.archives import FORMATS, format_of, pack
from minispark.storage.file_root import FileRoot, digest_of
from minispark.urls import shown

__all__ = ["Examined", "examine"]

PY_SUFFIXES: Final = (".py", ".zip", ".egg", ".whl", ".jar")


@record
class Examined(Record):
    """A file that was added.

    Attributes:
        kind: what it is used as.
        origin: the canonical path of what was added.
        name: what it is called in tasks.
        content: the file that travels; of a folder, the archive made of it.
        digest: of that.
        size_bytes: of that.
        format: how it is packed, if tasks get it unpacked.
    """

    kind: FileKind
    origin: Path
    name: str
    content: Path
    digest: str
    size_bytes: int
    format: str


def examine(path: str, kind: FileKind, root: FileRoot) -> Examined:
    """Find out what a user adds.

    Args:
        path: a path or a `file:` URI; of an archive, `#name` may say what its folder is called.
        kind: what it is used as; "directory": a file, or a folder with all that it holds.
        root: where archives of folders are made.

    Raises:
        ConfigurationError: it cannot be added; the text names it and says why.
    """
    text, name = split_name(path) if kind == "archive" else (path, "")
    origin = local_path(text)
    if not origin.exists():
        raise ConfigurationError(f"{path!r} cannot be added: there is no file {origin}")
    name = name or origin.name
    root.make()
    try:
        if origin.is_dir():
            check_directory(path, origin, kind)
            content, form = packed(origin, kind, root), "zip"
            name = f"{name}.zip" if kind == "py" else name
        else:
            kind = "file" if kind == "directory" else kind
            content, form = origin, check_file(path, origin, kind)
        return Examined(kind, origin, name, content, digest_of(content), content.stat().st_size, form)
    except OSError as error:
        raise ConfigurationError(f"{path!r} cannot be added: {error}") from error


def split_name(path: str) -> tuple[str, str]:
    """Split `archive.zip#name`; a file whose own name has a # in it is that file."""
    text, mark, name = path.rpartition("#")
    if not mark or Path(path).exists():
        return path, ""
    if not name or name in (".", "..") or "/" in name:
        raise ConfigurationError(f"{path!r} cannot be added: after # the name of a folder is needed")
    return text, name


def local_path(text: str) -> Path:
    """Return the canonical path of a file of this machine.

    Raises:
        ConfigurationError: it is not one.
    """
    if "://" in text or text.startswith("file:"):
        parts = urlsplit(text)
        if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise ConfigurationError(
                f"{shown(text)!r} cannot be added: a path, or file:///path, of this machine is needed"
            )
        text = unquote(parts.path)
    if not text.strip():
        raise ConfigurationError("a file cannot be added without its path")
    return Path(os.path.realpath(os.path.expanduser(text)))


def check_directory(path: str, origin: Path, kind: FileKind) -> None:
    """Refuse a folder where a file is needed.

    Raises:
        ConfigurationError: it is refused.
    """
    if kind == "archive":
        raise ConfigurationError(f"{path!r} cannot be added: {origin} is a folder, not an archive; use add_file")
    if kind == "file":
        raise ConfigurationError(f"{path!r} cannot be added: {origin} is a folder; say recursive=True")


def check_file(path: str, origin: Path, kind: FileKind) -> str:
    """Refuse a file that cannot be used as it should be; return how it is packed.

    Raises:
        ConfigurationError: it is refused.
    """
    form = format_of(origin.name)
    if kind == "py" and not origin.name.lower().endswith(PY_SUFFIXES):
        raise ConfigurationError(
            f"{path!r} cannot be added: modules are in {', '.join(PY_SUFFIXES)} files, or in folders"
        )
    if kind == "archive" and form is None:
        raise ConfigurationError(f"{path!r} cannot be added: an archive is one of {', '.join(FORMATS)}")
    return form or "" if kind == "archive" else ""


def packed(origin: Path, kind: FileKind, root: FileRoot) -> Path:
    """Pack a folder; a package keeps its name within the archive."""
    arriving = root.content / f".{origin.name}.packing"
    pack(origin, arriving, under=origin.name if kind == "py" else "")
    content = root.content / digest_of(arriving)
    os.replace(arriving, content)
    return content
