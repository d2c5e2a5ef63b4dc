"""What paths mean, and how output comes into being."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from minispark.errors import ConfigurationError, InputNotFound, OutputExists
from minispark.rdd.files import InputFile, Output, absolute_path, find_inputs, input_paths


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.txt", "a.txt", ".hidden", "_temporary", "sub/c.txt", "sub/deep/d.txt", "odd,name"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    return tmp_path


def found(given: object) -> list[InputFile]:
    return find_inputs(input_paths("path", given))


def names(tree: Path, given: object) -> list[str]:
    return [os.path.relpath(file.path, tree) for file in found(given)]


def test_files_directories_globs_and_lists(tree: Path) -> None:
    assert names(tree, [tree / "b.txt", f"{tree}/a.txt"]) == ["b.txt", "a.txt"]
    assert names(tree, f"{tree}/*.txt") == ["a.txt", "b.txt"]
    assert names(tree, f"{tree}/b.txt, {tree}/s*/c*,") == ["b.txt", "sub/c.txt"]
    assert names(tree, f"{tree}/**") == ["a.txt", "b.txt", "odd,name", "sub/c.txt", "sub/deep/d.txt"]
    assert names(tree, tree / "sub" / "deep") == ["sub/deep/d.txt"]


def test_what_exists_by_its_very_name_is_taken_as_it_is(tree: Path) -> None:
    assert names(tree, f"{tree}/odd,name") == ["odd,name"]


def test_a_comma_in_a_list_is_part_of_a_path(tree: Path) -> None:
    assert names(tree, [f"{tree}/odd,name", f"{tree}/a*"]) == ["odd,name", "a.txt"]
    with pytest.raises(InputNotFound, match=r"there is no file or directory '.*/a\.txt,b\.txt'"):
        found([f"{tree}/a.txt,b.txt"])


def test_relative_paths_mean_what_they_meant_when_they_were_given(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tree / "[a]*"
    odd.mkdir()
    for name in ("x", "y"):
        (odd / name).touch()
    monkeypatch.chdir(odd)
    paths = input_paths("path", "x,./[x-z]"), input_paths("path", [Path("y")])
    output = absolute_path("path", "out")
    monkeypatch.chdir(tree)

    read = [[os.path.relpath(file.path, odd) for file in find_inputs(given)] for given in paths]
    assert read == [["x", "x", "y"], ["y"]]
    assert output == f"{odd}/out"


def test_what_dots_mean_depends_on_links(tree: Path) -> None:
    (tree / "sub" / "link").symlink_to(tree / "sub" / "deep")

    assert [Path(file.path).resolve().name for file in found(f"{tree}/sub/link/../c.txt")] == ["c.txt"]


@pytest.mark.parametrize("beginning", ["file:", "file://", "file://localhost"])
def test_urls_of_local_files_are_understood(tree: Path, beginning: str) -> None:
    assert names(tree, f"{beginning}{tree}/a.txt") == ["a.txt"]
    assert names(tree, f"{beginning}{tree}/a.txt,{beginning}{tree}/b*") == ["a.txt", "b.txt"]
    assert absolute_path("path", f"{beginning}{tree}/new") == f"{tree}/new"


@pytest.mark.parametrize("wrong", [None, 3, b"/x", [b"/x"], [None], [["/x"]]])
def test_what_is_no_path_is_refused_by_name(wrong: object) -> None:
    with pytest.raises(
        TypeError, match=r"path(\[0\])? = .*: a str(,| or) an os.PathLike( or a list of them)? is needed"
    ):
        input_paths("path", wrong)
    with pytest.raises(TypeError, match=r"path = .*: a str or an os.PathLike is needed, not"):
        absolute_path("path", wrong)


@pytest.mark.parametrize("empty", ["", " ", [""], ["/x", ""]])
def test_an_empty_path_is_not_the_working_directory(empty: object) -> None:
    with pytest.raises(
        ConfigurationError, match=r"path(\[.\])? = ' ?': a path is needed; the working directory is '\.'"
    ):
        input_paths("path", empty)
    with pytest.raises(ConfigurationError, match="path = ',': there is no path in it"):
        input_paths("path", ",")
    with pytest.raises(ConfigurationError, match="path = '': a path is needed"):
        absolute_path("path", "")


def test_only_regular_files_are_read(tree: Path) -> None:
    os.mkfifo(tree / "sub" / "deep" / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        address = str(tree / "socket")
        listener.bind(address)
        for path, what in ((address, "a socket"), ("/dev/zero", "a device"), (tree / "sub" / "deep", "a pipe")):
            with pytest.raises(ConfigurationError, match=f"' is {what}: only files and directories can be read"):
                found(path)


def test_a_link_to_nothing_is_named(tree: Path) -> None:
    (tree / "link.txt").symlink_to(tree / "nothing")

    with pytest.raises(InputNotFound, match=r"link\.txt' is a link to nothing"):
        found(f"{tree}/*.txt")


def test_directories_inside_of_a_directory_are_not_skipped_silently(tree: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"sub is a directory inside of .*; to read all files below, give '.*\*\*'"
    ):
        found(tree)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none", "there is no file or directory '{tree}/none'"),
        ("none*", "no file matches '{tree}/none.'"),
        ("a.txt,none", "there is no file or directory '{tree}/none'"),
        (Path("a.txt,b.txt"), "there is no file or directory '{tree}/a.txt,b.txt'"),
    ],
)
def test_what_is_missing_is_named(
    tree: Path, monkeypatch: pytest.MonkeyPatch, path: str | Path, message: str
) -> None:
    monkeypatch.chdir(tree)

    with pytest.raises(InputNotFound, match=message.format(tree=tree)) as caught:
        found(path)
    assert isinstance(caught.value, FileNotFoundError)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nope://bucket/key", "there is no file system for nope; fsspec knows .*memory"),
        ("file://host/x", "names a host"),
        ("/x,nope://bucket/key", "there is no file system for nope"),
    ],
)
def test_urls_that_nobody_reads_are_refused(path: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        found(path)


def test_a_part_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    output = Output(f"{tmp_path}/new/out")
    directory = output.create()

    with directory.part("part-00000", "7") as file:
        file.write(b"half")
        assert not (tmp_path / "new/out/part-00000").exists()
    with pytest.raises(ZeroDivisionError), directory.part("part-00001", "8") as file:
        raise ZeroDivisionError
    output.commit()

    assert sorted(os.listdir(output.path)) == ["_SUCCESS", "part-00000"]


def test_two_attempts_of_a_part_do_not_meet(tmp_path: Path) -> None:
    directory = Output(f"{tmp_path}/out").create()

    with directory.part("part-00000", "1") as first, directory.part("part-00000", "2") as second:
        first.write(b"same")
        second.write(b"same")

    assert (tmp_path / "out/part-00000").read_bytes() == b"same"


def test_what_exists_is_never_written_into_nor_removed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    output = Output(f"{tmp_path}/out")

    with pytest.raises(OutputExists, match="out' exists already: remove it, or save to another path"):
        output.create()
    output.abandon()

    assert (tmp_path / "out").is_dir()


@pytest.mark.parametrize(("end", "left"), [(Output.abandon, []), (Output.commit, ["out", "out/_SUCCESS"])])
def test_an_output_that_is_over_does_not_change_any_more(
    tmp_path: Path, end: Callable[[Output], None], left: list[str]
) -> None:
    output = Output(f"{tmp_path}/out")
    directory = output.create()

    with pytest.raises(FileNotFoundError), directory.part("part-00000", "1"):
        end(output)
    with pytest.raises(FileNotFoundError), directory.part("part-00001", "2"):
        pass
    output.abandon()

    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == left


def test_what_is_abandoned_before_it_is_made_is_not_made(tmp_path: Path) -> None:
    output = Output(f"{tmp_path}/out")

    output.abandon()
    output.create()
    output.commit()

    assert list(tmp_path.iterdir()) == []


def test_abandoning_removes_only_what_the_job_made(tmp_path: Path) -> None:
    neighbour = tmp_path / "out._abandoned" / "precious"
    neighbour.parent.mkdir()
    neighbour.touch()
    output = Output(f"{tmp_path}/out")
    output.create()

    output.abandon()

    assert neighbour.exists()
    assert not (tmp_path / "out").exists()


def test_a_directory_that_took_the_place_of_the_jobs_is_left_alone(tmp_path: Path) -> None:
    mine, theirs = Output(f"{tmp_path}/out"), Output(f"{tmp_path}/out")
    directory = mine.create()
    shutil.rmtree(mine.path)
    theirs.create()

    with pytest.raises(FileNotFoundError), directory.part("part-00000", "1"):
        pass
    with pytest.raises(FileNotFoundError):
        mine.commit()
    mine.abandon()
    theirs.commit()

    assert os.listdir(theirs.path) == ["_SUCCESS"]
