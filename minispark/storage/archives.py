"""Packing and unpacking of archives: what users add is unpacked where tasks run, and must not write elsewhere.

Called off the loop. A member whose path, or whose link, leads out of the folder is refused, and so is what is neither
file, folder nor link. Directories and packages are packed here, the same bytes for the same content.
"""

import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Final

from minispark.errors import ConfigurationError

__all__ = ["FORMATS", "format_of", "pack", "unpack"]

FORMATS: Final = {
    ".zip": "zip", ".whl": "zip", ".egg": "zip", ".jar": "zip",
    ".tar": "tar", ".tar.gz": "tar", ".tgz": "tar", ".tar.bz2": "tar", ".tar.xz": "tar",
}  # fmt: skip
MAX_DEPTH: Final = 200  # of folders in folders; what removes a folder calls itself for each
# What the libraries raise for content that is damaged, encrypted, packed in an unknown way, or dated out of all time.
DAMAGED: Final = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError,
    EOFError, OSError, ValueError, OverflowError, RuntimeError,
)  # fmt: skip
DATE: Final = (1980, 1, 1, 0, 0, 0)  # the first that zip knows: no archive differs by when it was made


def format_of(name: str) -> str | None:
    """Return how a file is packed, by its name: "zip", "tar" or None."""
    return next((kind for suffix, kind in FORMATS.items() if name.lower().endswith(suffix)), None)


def pack(folder: Path, target: Path, *, under: str = "") -> None:
    """Put the files of a folder into a zip file.

    Args:
        folder: what to pack; compiled modules (`__pycache__`) are left out.
        target: the new file.
        under: a folder within the archive.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            place = path.relative_to(folder)
            if path.is_file() and "__pycache__" not in place.parts:
                info = zipfile.ZipInfo((PurePosixPath(under) / place.as_posix()).as_posix(), DATE)
                info.external_attr = (stat.S_IFREG | (path.stat().st_mode & 0o777)) << 16
                archive.writestr(info, path.read_bytes())


def unpack(archive: Path, kind: str, folder: Path) -> None:
    """Unpack an archive into a new folder, which appears only when all of it is there.

    Args:
        archive: the file.
        kind: "zip" or "tar".
        folder: the new folder.

    Raises:
        ConfigurationError: it is damaged, or a member would be written outside of the folder; nothing is left.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        if kind == "zip":
            unpack_zip(archive, partial)
        else:
            unpack_tar(archive, partial)
        os.replace(partial, folder)
    except ConfigurationError:
        raise
    except DAMAGED as error:
        raise ConfigurationError(f"the archive {archive} cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def unpack_zip(archive: Path, folder: Path) -> None:
    """Unpack a zip file, with the permissions of its files. What it has as links is written as text."""
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            check_inside(archive, member.filename, member.filename)
            written = opened.extract(member, folder)
            mode = (member.external_attr >> 16) & 0o777
            if mode and not member.is_dir():
                os.chmod(written, mode | stat.S_IRUSR)


def unpack_tar(archive: Path, folder: Path) -> None:
    """Unpack a tar file, compressed or not: the links last, so that nothing is written through one."""
    with tarfile.open(archive) as opened:
        members = opened.getmembers()
        for member in members:
            check_member(archive, member)
        for member in members:
            if member.isdir():
                (folder / os.path.normpath(member.name)).mkdir(parents=True, exist_ok=True)
            elif member.isfile():
                write_file(opened, member, folder / os.path.normpath(member.name))
    make_links(archive, [member for member in members if member.issym() or member.islnk()], folder)


def check_member(archive: Path, member: tarfile.TarInfo) -> None:
    """Refuse a member that leads out of the folder by its name or link, or is neither file, folder nor link.

    Raises:
        ConfigurationError: it is to be refused.
    """
    check_inside(archive, member.name, member.name)
    if member.issym():
        check_inside(archive, member.name, os.path.join(os.path.dirname(member.name), member.linkname))
    elif member.islnk():
        check_inside(archive, member.name, member.linkname)
    elif not (member.isfile() or member.isdir()):
        raise ConfigurationError(f"the archive {archive} holds {member.name}, no plain file: refused")


def write_file(opened: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    """Write a plain file; it is its owner's to write, nobody else's, and has no other special rights."""
    place.parent.mkdir(parents=True, exist_ok=True)
    content = opened.extractfile(member)
    assert content is not None, "a plain file has a content"
    with content, place.open("wb") as file:
        shutil.copyfileobj(content, file)
    os.chmod(place, member.mode & 0o755 | stat.S_IRUSR | stat.S_IWUSR)
    os.utime(place, (member.mtime, member.mtime))  # compiled modules are compared with their sources by it


def make_links(archive: Path, links: list[tarfile.TarInfo], folder: Path) -> None:
    """Make the links of a tar file whose names were checked one by one; see what several reach together.

    `tarfile` has a filter for it, but not in the first releases of Python 3.11.

    Raises:
        ConfigurationError: one leads out of the folder.
    """
    places = {member.name: folder / os.path.normpath(member.name) for member in links}
    for member in links:
        place = places[member.name]
        check_folders(archive, member.name, place, folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        if member.issym():
            place.symlink_to(member.linkname)
        else:
            target = folder / os.path.normpath(member.linkname)
            check_folders(archive, member.name, target, folder)  # where a link led that is another one by the end
            place.hardlink_to(target)
        if folder.name in PurePosixPath(member.linkname).parts:  # out of the folder and back, while it has this name
            raise ConfigurationError(
                f"the archive {archive} holds {member.name}, which leads out of its folder: refused"
            )
    for name, place in places.items():
        if not where_it_leads(place).is_relative_to(os.path.realpath(folder)):
            raise ConfigurationError(f"the archive {archive} holds {name}, which leads out of its folder: refused")


def check_folders(archive: Path, member: str, place: Path, folder: Path) -> None:
    """Refuse a place that would be reached through a link.

    Raises:
        ConfigurationError: it would.
    """
    if any((folder / parent).is_symlink() for parent in place.relative_to(folder).parents):
        raise ConfigurationError(f"the archive {archive} holds {member}, whose folder is a link: refused")


def where_it_leads(place: Path) -> Path:
    """Return the path behind all links of a path.

    Raises:
        OSError: it goes round in circles, or grows too long to be followed to its end.
    """
    try:
        return Path(os.path.realpath(place, strict=True))
    except FileNotFoundError:  # what it names may come later
        return Path(os.path.realpath(place))


def check_inside(archive: Path, member: str, place: str) -> None:
    """Refuse a member that leads out of the folder, or too deep into it.

    Raises:
        ConfigurationError: it does.
    """
    normal = os.path.normpath(place.replace("\\", "/"))
    if normal.count("/") > MAX_DEPTH:
        raise ConfigurationError(f"the archive {archive} holds {member[:60]}…, more than {MAX_DEPTH} deep: refused")
    if os.path.isabs(normal) or normal == ".." or normal.startswith("../"):
        raise ConfigurationError(f"the archive {archive} holds {member}, which leads out of its folder: refused")
