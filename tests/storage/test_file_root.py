from pathlib import Path

import pytest

from minispark.errors import MiniSparkError
from minispark.messages.distribution import AddedFile, FileKind
from minispark.storage.file_root import FileRoot, digest_of


def added(path: Path, kind: FileKind = "file", name: str = "") -> AddedFile:
    return AddedFile(kind, name or path.name, digest_of(path), path.stat().st_size, "")


@pytest.fixture
def root(tmp_path: Path) -> FileRoot:
    made = FileRoot(str(tmp_path))
    made.make()
    return made


def test_a_file_is_found_by_its_name_where_it_lies(tmp_path: Path, root: FileRoot) -> None:
    source = tmp_path / "with a space.txt"
    source.write_text("one")

    root.place(added(source), source, is_packed=False)

    assert (root.path / "with a space.txt").samefile(source)
    assert root.import_paths == []


def test_modules_are_found_in_the_folder_and_packages_in_their_archives(tmp_path: Path, root: FileRoot) -> None:
    for name in ("one.py", "two.py", "three.zip"):
        (tmp_path / name).write_text(name)
        root.place(added(tmp_path / name, "py"), tmp_path / name, is_packed=False)

    assert root.import_paths == [str(root.path), str(root.path / "three.zip")]


def test_a_file_that_is_placed_again_replaces_the_first(tmp_path: Path, root: FileRoot) -> None:
    for text in ("one", "two"):
        source = tmp_path / text
        source.write_text(text)
        root.place(added(source, name="name"), source, is_packed=False)

    assert (root.path / "name").read_text() == "two"
    assert [path.name for path in root.path.iterdir()] == ["name"]


def test_content_that_is_not_what_was_added_is_refused_and_removed(tmp_path: Path, root: FileRoot) -> None:
    source = tmp_path / "file"
    source.write_text("one")
    file = added(source)
    root.check_content(file, source)
    source.write_text("two")

    with pytest.raises(MiniSparkError, match="file has changed in the driver since it was added"):
        root.check_content(file, source)

    assert not source.exists()
