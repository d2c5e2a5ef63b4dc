import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from minispark.errors import ConfigurationError
from minispark.storage.archives import format_of, pack, unpack


def zip_with(path: Path, **members: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def tar_with(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, 1 if kind == tarfile.REGTYPE else 0
    return info


@pytest.mark.parametrize(("name", "kind"), [("a.zip", "zip"), ("A.TAR.GZ", "tar"), ("b.tgz", "tar"), ("c.py", None)])
def test_the_name_says_how_a_file_is_packed(name: str, kind: str | None) -> None:
    assert format_of(name) == kind


def test_a_folder_is_the_same_after_packing_and_unpacking(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub" / "__pycache__").mkdir(parents=True)
    (source / "sub" / "data.txt").write_text("data")
    (source / "sub" / "__pycache__" / "left.pyc").write_text("out")
    (source / "run.sh").write_text("#!/bin/sh")
    (source / "run.sh").chmod(0o755)

    pack(source, tmp_path / "one.zip", under="package")
    pack(source, tmp_path / "two.zip", under="package")
    unpack(tmp_path / "one.zip", "zip", tmp_path / "out")

    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert (tmp_path / "out/package/sub/data.txt").read_text() == "data"
    assert (tmp_path / "out/package/run.sh").stat().st_mode & 0o777 == 0o755
    assert not (tmp_path / "out/package/sub/__pycache__").exists()


def test_a_tar_file_is_unpacked_with_the_links_that_stay_inside(tmp_path: Path) -> None:
    links = [member("sub/link", tarfile.SYMTYPE, "file"), member("sub/same", tarfile.LNKTYPE, "sub/file")]
    archive = tar_with(tmp_path / "a.tar.gz", *links, member("sub/file"), member("lib", tarfile.SYMTYPE, "sub"))

    unpack(archive, "tar", tmp_path / "out")

    assert (tmp_path / "out/sub/link").readlink() == Path("file")
    assert (tmp_path / "out/sub/same").samefile(tmp_path / "out/sub/file")
    assert (tmp_path / "out/lib/link").read_bytes() == b"x"


def test_a_file_of_a_tar_file_keeps_its_time_and_only_harmless_rights(tmp_path: Path) -> None:
    program, folder = member("sub/run.sh"), member("sub", tarfile.DIRTYPE)
    program.mode, program.mtime, folder.mode = 0o4577, 1_000_000_000, 0o000
    archive = tar_with(tmp_path / "a.tar.gz", folder, program)

    unpack(archive, "tar", tmp_path / "out")

    found = (tmp_path / "out/sub/run.sh").stat()
    assert (found.st_mode & 0o7777, found.st_mtime) == (0o755, 1_000_000_000)
    assert (tmp_path / "out/sub").stat().st_mode & 0o700 == 0o700


def test_what_is_twice_in_a_tar_file_is_as_the_last_says(tmp_path: Path) -> None:
    first, last = member("link", tarfile.SYMTYPE, "a"), member("link", tarfile.SYMTYPE, "b")
    archive = tar_with(tmp_path / "a.tar.gz", member("a"), member("b"), first, last)

    unpack(archive, "tar", tmp_path / "out")

    assert (tmp_path / "out/link").readlink() == Path("b")


@pytest.mark.parametrize("name", ["../out.txt", "/etc/x", "a/../../x", "..\\x"])
def test_a_zip_file_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    archive = zip_with(tmp_path / "a.zip", **{name: "x"})

    with pytest.raises(ConfigurationError, match="leads out of its folder"):
        unpack(archive, "zip", tmp_path / "sub" / "out")

    assert not (tmp_path / "sub" / "out").exists()
    assert list((tmp_path / "sub").iterdir()) == []


@pytest.mark.parametrize(
    "bad",
    [
        [member("../x")],
        [member("/x")],
        [member("link", tarfile.SYMTYPE, "../../etc")],
        [member("link", tarfile.SYMTYPE, "/etc")],
        [member("link", tarfile.LNKTYPE, "../x")],
        [member("pipe", tarfile.FIFOTYPE)],
        [member("d", tarfile.SYMTYPE, "."), member("e", tarfile.SYMTYPE, "d/.."), member("e/x")],
        [member("d", tarfile.SYMTYPE, "."), member("e", tarfile.SYMTYPE, "d/..")],
        [member("e", tarfile.SYMTYPE, "d/.."), member("d", tarfile.SYMTYPE, ".")],
        [
            member("d", tarfile.SYMTYPE, "."),
            member("e", tarfile.SYMTYPE, "d/.."),
            member("e/x", tarfile.SYMTYPE, "d"),
        ],
        [member("e", tarfile.SYMTYPE, "e")],
        [member("x"), member("x/y")],
        [member("y", tarfile.LNKTYPE, "nothing")],
        [member("a/" * 300 + "x")],
        [member("d", tarfile.SYMTYPE, "."), member("e", tarfile.SYMTYPE, "d/../out.partial/x"), member("x")],
    ],
)
def test_a_tar_file_that_leads_out_is_refused(tmp_path: Path, bad: list[tarfile.TarInfo]) -> None:
    archive = tar_with(tmp_path / "a.tar.gz", *bad)

    with pytest.raises(ConfigurationError, match=r"refused|cannot be unpacked"):
        unpack(archive, "tar", tmp_path / "sub" / "out")

    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.tar.gz", "sub"]


def test_a_hard_link_reaches_nothing_outside_by_a_link_that_is_another_one_by_the_end(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    first, last = member("e", tarfile.SYMTYPE, "d/.."), member("e", tarfile.SYMTYPE, "h")
    links = [member("d", tarfile.SYMTYPE, "."), first, member("h", tarfile.LNKTYPE, "e/secret"), last]

    with pytest.raises(ConfigurationError, match="whose folder is a link"):
        unpack(tar_with(tmp_path / "a.tar.gz", *links), "tar", tmp_path / "out")

    assert (tmp_path / "secret").stat().st_nlink == 1


def test_content_that_cannot_be_read_is_an_error_that_names_the_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x", "x" * 1000)
    packed = bytearray((tmp_path / "a.zip").read_bytes())
    packed[40:45] = b"\xff" * 5
    (tmp_path / "a.zip").write_bytes(packed)
    late = member("x")
    late.mtime = 10**20

    for damaged, kind in [(tmp_path / "a.zip", "zip"), (tar_with(tmp_path / "b.tar.gz", late), "tar")]:
        with pytest.raises(ConfigurationError, match=f"{damaged.name} cannot be unpacked"):
            unpack(damaged, kind, tmp_path / "out")


def test_a_damaged_archive_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"no zip")

    with pytest.raises(ConfigurationError, match=r"a\.zip cannot be unpacked"):
        unpack(tmp_path / "a.zip", "zip", tmp_path / "out")
