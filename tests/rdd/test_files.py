"""What paths mean, and how output comes into being."""

import os
from pathlib import Path

import pytest

from minispark.errors import ConfigurationError, InputNotFound, OutputExists
from minispark.rdd.files import OutputDirectory, find_inputs


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.txt", "a.txt", ".hidden", "_temporary", "sub/c.txt", "sub/deep/d.txt", "odd,name"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    return tmp_path


def names(tree: Path, *paths: str | Path) -> list[str]:
    return [os.path.relpath(file.path, tree) for file in find_inputs(paths)]


def test_files_directories_globs_and_lists(tree: Path) -> None:
    assert names(tree, tree / "b.txt", tree / "a.txt") == ["b.txt", "a.txt"]
    assert names(tree, f"{tree}/*.txt") == ["a.txt", "b.txt"]
    assert names(tree, f"{tree}/b.txt, {tree}/s*/c*,") == ["b.txt", "sub/c.txt"]
    assert names(tree, f"{tree}/**") == ["a.txt", "b.txt", "odd,name", "sub/c.txt", "sub/deep/d.txt"]
    assert names(tree, tree / "sub" / "deep") == ["sub/deep/d.txt"]


def test_what_exists_by_its_very_name_is_taken_as_it_is(tree: Path) -> None:
    assert names(tree, f"{tree}/odd,name") == ["odd,name"]


def test_paths_are_made_absolute(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)

    assert [file.path for file in find_inputs(["a.txt"])] == [f"{tree}/a.txt"]


def test_directories_inside_of_a_directory_are_not_skipped_silently(tree: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"sub is a directory inside of .*; to read all files below, give '.*\*\*'"
    ):
        find_inputs([tree])


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none", "there is no file or directory '{tree}/none'"),
        ("none*", "no file matches 'none.' .in {tree}."),
        ("a.txt,none", "there is no file or directory '{tree}/none'"),
        (Path("a.txt,b.txt"), "there is no file or directory '{tree}/a.txt,b.txt'"),
    ],
)
def test_what_is_missing_is_named(
    tree: Path, monkeypatch: pytest.MonkeyPatch, path: str | Path, message: str
) -> None:
    monkeypatch.chdir(tree)

    with pytest.raises(InputNotFound, match=message.format(tree=tree)) as caught:
        find_inputs([path])
    assert isinstance(caught.value, FileNotFoundError)


@pytest.mark.parametrize("path", ["s3://bucket/key", "hdfs://host/x"])
def test_other_file_systems_are_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match="only local files can be read and written"):
        find_inputs([path])


def test_a_part_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    directory = OutputDirectory.create(tmp_path / "new" / "out")

    with directory.part("part-00000", "7") as file:
        file.write(b"half")
        assert not (tmp_path / "new/out/part-00000").exists()
    with pytest.raises(ZeroDivisionError), directory.part("part-00001", "8") as file:
        raise ZeroDivisionError
    directory.commit()

    assert sorted(os.listdir(directory.path)) == ["_SUCCESS", "part-00000"]


def test_two_attempts_of_a_part_do_not_meet(tmp_path: Path) -> None:
    directory = OutputDirectory.create(tmp_path / "out")

    with directory.part("part-00000", "1") as first, directory.part("part-00000", "2") as second:
        first.write(b"same")
        second.write(b"same")

    assert (tmp_path / "out/part-00000").read_bytes() == b"same"


def test_what_exists_is_never_written_into(tmp_path: Path) -> None:
    (tmp_path / "out").touch()

    with pytest.raises(OutputExists, match="out' exists already: remove it, or save to another path"):
        OutputDirectory.create(tmp_path / "out")


def test_an_abandoned_directory_does_not_come_back(tmp_path: Path) -> None:
    directory = OutputDirectory.create(tmp_path / "out")

    with pytest.raises(FileNotFoundError), directory.part("part-00000", "1"):
        directory.abandon()
    with pytest.raises(FileNotFoundError), directory.part("part-00001", "2"):
        pass

    assert list(tmp_path.iterdir()) == []
