"""Files of other file systems: what URLs mean, and how output comes into being there."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from minispark.errors import ConfigurationError, InputNotFound, MiniSparkError, OutputExists
from minispark.rdd import filesystems
from minispark.rdd.files import absolute_path, find_inputs, input_paths, names_in, open_input, output_at
from minispark.rdd.filesystems import RemoteOutput, make_place, named, reached
from tests.rdd.conftest import Engine
from tests.stub_files import stub_files


@pytest.fixture
def memory() -> Iterator[Any]:
    """Give the file system that lives in this process, empty."""
    file_system = fsspec.filesystem("memory")
    file_system.store.clear()
    file_system.pseudo_dirs[:] = [""]
    yield file_system
    file_system.store.clear()
    file_system.pseudo_dirs[:] = [""]


@pytest.fixture(params=["memory", "local"])
def url(request: pytest.FixtureRequest, tmp_path: Path, memory: Any) -> str:
    """Give the URL of an empty directory, in this process or on disk."""
    if request.param == "local":
        return f"local://{tmp_path}"
    memory.makedirs("/data")
    return "memory://data"


def write(url: str, content: bytes = b"x") -> None:
    with reached(url) as (file_system, path):
        file_system.makedirs(path.rpartition("/")[0], exist_ok=True)
        file_system.pipe_file(path, content)


def names(url: str, *given: str) -> list[str]:
    paths = input_paths("path", [f"{url}/{path}".rstrip("/") for path in given])
    return [file.path.removeprefix(f"{url}/").rpartition("data/")[2] for file in find_inputs(paths)]


def test_a_url_means_a_file_a_directory_or_a_glob(url: str) -> None:
    for name in ("b.txt", "a.txt", ".hidden", "_SUCCESS", "sub/c.txt", "sub/deep/d.txt"):
        write(f"{url}/in/{name}", b"xy")

    assert names(url, "in/a.txt", "in/*.txt") == ["in/a.txt", "in/a.txt", "in/b.txt"]
    assert names(url, "in/sub/deep") == ["in/sub/deep/d.txt"]
    assert names(url, "in/**") == ["in/a.txt", "in/b.txt", "in/sub/c.txt", "in/sub/deep/d.txt"]
    assert [file.size_bytes for file in find_inputs(input_paths("path", f"{url}/in/a.txt,{url}/in/b.txt"))] == [2, 2]


def test_every_file_that_is_found_can_be_opened(url: str) -> None:
    write(f"{url}/in/a.txt", b"one")
    write(f"{url}/in/b.txt", b"two")

    files = find_inputs(input_paths("path", f"{url}/in"))
    contents = []
    for file in files:
        with open_input(file.path) as opened:
            contents.append(opened.read())

    assert contents == [b"one", b"two"]


def test_what_cannot_be_read_is_named(url: str) -> None:
    write(f"{url}/in/sub/a.txt")
    write(f"{url}/in/b.zip")

    for path, wrong, message in [
        ("none", InputNotFound, "there is no file or directory '.*none'"),
        ("in", ConfigurationError, r"b.zip' is in the format ZIP|sub' is a directory; .* give '.*\*\*'"),
    ]:
        with pytest.raises(wrong, match=message):
            find_inputs(input_paths("path", f"{url}/{path}"))


@pytest.mark.parametrize(
    ("url", "path", "name", "expected"),
    [
        ("s3://bucket/in", "bucket/in", "bucket/in/a", "s3://bucket/in/a"),
        ("s3://bucket/in/*", "bucket/in/*", "bucket/in/a", "s3://bucket/in/a"),
        ("sftp://host:22/in/", "/in", "/in/a", "sftp://host:22/in/a"),
        ("https://host/in", "https://host/in", "https://host/in/a", "https://host/in/a"),
        ("zip://in::s3://b/x.zip", "in", "in/a", "zip://in/a::s3://b/x.zip"),
        ("memory://in", "/in", "/in", "memory://in"),
    ],
)
def test_a_name_of_a_server_becomes_a_url_of_that_server(url: str, path: str, name: str, expected: str) -> None:
    assert named(url, path, name) == expected


def test_a_file_whose_size_nobody_tells_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="its server does not tell its size"):
        filesystems.input_file("https://host/x", {"size": None})


def test_without_fsspec_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)

    with pytest.raises(ConfigurationError, match=r"not installed: pip install 'minispark\[remote\]'"):
        absolute_path("path", "s3://bucket/x")


@pytest.mark.parametrize(
    ("error", "kind"), [(ImportError("no s3fs"), ConfigurationError), (RuntimeError("no s3fs"), OSError)]
)
def test_whatever_a_file_system_raises_names_the_url(error: Exception, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"'memory://b' cannot be reached: .*no s3fs"), reached("memory://b"):
        raise error


def test_an_error_that_does_not_name_the_url_says_it_in_a_note() -> None:
    with pytest.raises(FileNotFoundError) as caught, reached("memory://bob:secret@b/x"):
        raise FileNotFoundError("the bucket does not exist")

    assert caught.value.__notes__ == ["at memory://bob:…@b/x"]


def test_a_part_appears_whole_or_not_at_all(url: str) -> None:
    directory = output_at(f"{url}/out").create()

    with directory.part("part-00000", "1", lambda: None) as file:
        file.write(b"whole")
        seen = names_in(f"{url}/out")
    with pytest.raises(ZeroDivisionError), directory.part("part-00001", "2", lambda: None) as file:
        file.write(bytes(1 // 0))
    with pytest.raises(PermissionError), directory.part("part-00001", "3", refuse) as file:
        file.write(b"refused")

    assert "part-00000" not in seen
    assert {name for name in names_in(f"{url}/out") if name.startswith("part")} == {"part-00000"}


@pytest.mark.parametrize(("protocol", "is_made"), [("memory", True), (("s3", "s3a"), False), (("sftp", "ssh"), True)])
def test_no_directory_and_so_no_bucket_is_made_in_an_object_store(protocol: object, is_made: bool) -> None:
    made: list[str] = []

    class Store:
        def makedirs(self, path: str, exist_ok: bool) -> None:
            made.append(path)

    store: Any = Store()
    store.protocol = protocol

    make_place(store, "bucket/out")

    assert made == (["bucket/out"] if is_made else [])


def refuse() -> None:
    raise PermissionError("another attempt commits")


def test_two_attempts_of_a_part_do_not_meet_and_the_later_commit_stays(url: str) -> None:
    output = output_at(f"{url}/out")
    directory = output.create()

    with directory.part("part-00000", "1", lambda: None) as first:
        first.write(b"fir")
        with directory.part("part-00000", "2", lambda: None) as second:
            second.write(b"second")
        first.write(b"st")
    output.commit()

    assert names_in(f"{url}/out") == {"part-00000", "_SUCCESS"}
    with open_input(f"{url}/out/part-00000") as file:
        assert file.read() == b"first"


def test_what_exists_is_never_written_into_nor_removed(url: str) -> None:
    write(f"{url}/out/precious")
    output = output_at(f"{url}/out")

    with pytest.raises(OutputExists, match="exists already"):
        output.create()
    output.abandon()

    assert names_in(f"{url}/out") == {"precious"}


@pytest.mark.parametrize("ends", ["commit", "abandon"])
def test_an_output_that_is_over_does_not_change_any_more(url: str, ends: str) -> None:
    output = output_at(f"{url}/out")
    directory = output.create()
    with pytest.raises(FileNotFoundError), directory.part("part-00000", "1", getattr(output, ends)) as file:
        file.write(b"late")
    with pytest.raises(FileNotFoundError), directory.part("part-00000", "2", lambda: None):
        pass
    output.abandon()
    output.commit()

    assert names_in(f"{url}/out") - {"_SUCCESS"} == set()
    assert names_in(f"{url}/out") == ({"_SUCCESS"} if ends == "commit" else set())


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_an_attempt_that_outlives_its_job_leaves_nothing_in_an_object_store(ends: str) -> None:
    with stub_files():
        output = output_at("stub://host/out")
        directory = output.create()

        def write() -> None:
            with directory.part("x", "1", lambda: None) as file:
                file.write(b"late")
                output.abandon()
                if ends == "badly":
                    raise FileNotFoundError("what it reads")

        with pytest.raises(FileNotFoundError, match="is over" if ends == "well" else "what it reads"):
            write()
        output_at("stub://host/out").create()  # which refuses where there is something


def test_what_is_abandoned_before_it_is_made_is_not_made(url: str) -> None:
    output = output_at(f"{url}/out")
    assert isinstance(output, RemoteOutput)

    output.abandon()
    output.create()

    assert names_in(f"{url}/out") == set()


def test_text_goes_to_a_url_and_comes_back(engine: Engine, tmp_path: Path) -> None:
    out = f"local://{tmp_path}/out"

    async def job(sc: Any) -> Any:
        from minispark.rdd.sources import range_rdd, text_file
        from minispark.rdd.whole_files import pickle_file, whole_text_files

        await range_rdd(sc, 2000, num_slices=2).save_as_text_file(out, "gzip")
        await range_rdd(sc, 2000, num_slices=3).save_as_pickle_file(out + "2")
        await range_rdd(sc, 2000, num_slices=1).save_as_text_file(out + "3")
        texts = await whole_text_files(sc, out + "3").collect()
        return (
            await text_file(sc, out).collect(),
            await text_file(sc, out + "3", 5).collect(),
            await pickle_file(sc, out + "2").collect(),
            [(path.rpartition("/")[2], text.count("\n")) for path, text in texts],
        )

    packed, split, pickled, whole = engine(job)

    assert packed == split == list(map(str, range(2000)))
    assert pickled == list(range(2000))
    assert whole == [("part-00000", 2000)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "_SUCCESS",
        "part-00000.gz",
        "part-00001.gz",
    ]


@pytest.mark.parametrize(
    ("given", "meant"),
    [("memory:///", "memory://"), ("memory://", "memory://"), ("memory://data//", "memory://data")],
)
def test_the_root_of_a_server_stays_a_url(given: str, meant: str) -> None:
    assert absolute_path("path", given) == meant


def test_errors_show_no_password(memory: Any) -> None:
    def fails() -> None:
        with reached("memory://bob:secret@host/x"):
            raise RuntimeError("no route to memory://bob:secret@host")

    for reason, action in (
        ("no route", fails),
        ("there is no file", lambda: find_inputs(input_paths("path", "memory://bob:secret@host/x"))),
        ("no file system", lambda: absolute_path("path", "nothing://bob:secret@host/x")),
    ):
        with pytest.raises((OSError, MiniSparkError), match=reason) as caught:
            action()
        assert "bob" in str(caught.value)
        assert "secret" not in str(caught.value)
