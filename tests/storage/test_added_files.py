import zipfile
from pathlib import Path

import pytest

from minispark.errors import ConfigurationError
from minispark.messages.distribution import FileKind
from minispark.storage.added_files import Examined, examine
from minispark.storage.file_root import FileRoot, digest_of


def find(path: str, kind: FileKind, folder: Path) -> Examined:
    return examine(path, kind, FileRoot(str(folder)))


@pytest.mark.scenario("CTX-002", "canonical path")
def test_the_canonical_path_is_what_counts(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "file.txt").write_text("x")
    (tmp_path / "link.txt").symlink_to("file.txt")

    for way in (f"{tmp_path}/sub/../file.txt", f"{tmp_path}/./file.txt", str(tmp_path / "link.txt")):
        assert find(way, "file", tmp_path).origin == tmp_path / "file.txt"


@pytest.mark.scenario("CTX-002", "URI not re-encoded")
@pytest.mark.scenario("CTX-002", "spaces")
def test_a_uri_is_decoded_once_and_a_path_never(tmp_path: Path) -> None:
    for name in ("a b.txt", "a%20b.txt"):
        (tmp_path / name).write_text(name)

    assert find(f"file://{tmp_path}/a%20b.txt", "file", tmp_path).name == "a b.txt"
    assert find(f"file://{tmp_path}/a%2520b.txt", "file", tmp_path).name == "a%20b.txt"
    assert find(f"{tmp_path}/a%20b.txt", "file", tmp_path).name == "a%20b.txt"
    assert find(f"{tmp_path}/a b.txt", "file", tmp_path).name == "a b.txt"


@pytest.mark.scenario("CTX-002", "malformed url rejected")
@pytest.mark.parametrize("uri", ["http://host/x.txt", "file://host/x", "file:x", "s3://bucket/x", "://x", " ", ""])
def test_what_is_no_path_of_this_machine_is_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be added"):
        find(uri, "file", tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no file .*/missing\.py"):
        find(f"{tmp_path}/missing.py", "py", tmp_path)


def test_a_package_is_packed_under_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("x = 1")

    found = find(str(tmp_path / "package"), "py", tmp_path)

    assert found.name == "package.zip"
    assert zipfile.ZipFile(found.content).namelist() == ["package/__init__.py"]
    assert found.digest == digest_of(found.content) == found.content.name


@pytest.mark.parametrize(
    ("path", "name"), [("a.zip#data", "data"), ("a.zip", "a.zip"), ("odd#name.zip", "odd#name.zip")]
)
def test_an_archive_may_be_given_a_name(tmp_path: Path, path: str, name: str) -> None:
    for archive in ("a.zip", "odd#name.zip"):
        with zipfile.ZipFile(tmp_path / archive, "w") as made:
            made.writestr("x", "x")

    found = find(f"{tmp_path}/{path}", "archive", tmp_path)

    assert (found.name, found.format) == (name, "zip")


@pytest.mark.parametrize(
    ("name", "kind", "why"),
    [
        ("folder", "file", "say recursive=True"),
        ("folder", "archive", "not an archive"),
        ("file.txt", "archive", "an archive is one of"),
        ("file.txt", "py", "modules are in"),
        ("file.txt#..", "archive", "name of a folder"),
    ],
)
def test_what_cannot_be_used_like_this_is_refused(tmp_path: Path, name: str, kind: FileKind, why: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.txt").write_text("x")

    with pytest.raises(ConfigurationError, match=why):
        find(f"{tmp_path}/{name}", kind, tmp_path)


def test_a_folder_that_is_added_whole_stays_one_and_a_file_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.txt").write_text("x")

    assert find(str(tmp_path / "folder"), "directory", tmp_path).kind == "directory"
    assert find(str(tmp_path / "file.txt"), "directory", tmp_path).kind == "file"
