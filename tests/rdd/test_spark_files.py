import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minispark.errors import ContextError
from minispark.rdd.spark_files import SparkFiles, add_import_paths, remove_import_paths, set_root


@pytest.fixture(autouse=True)
def no_root() -> Iterator[None]:
    set_root(None)
    yield
    set_root(None)


def test_a_file_is_found_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "name").touch()
    set_root(str(tmp_path))

    assert SparkFiles.get("name") == str(tmp_path / "name")
    assert SparkFiles.get_root_directory() == str(tmp_path)
    with pytest.raises(ContextError, match="no file 'other' was added"):
        SparkFiles.get("other")


def test_without_files_there_is_no_folder() -> None:
    with pytest.raises(ContextError, match=r"sc\.add_file"):
        SparkFiles.get("name")


def test_import_paths_come_after_the_programs_own_folder_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["own", "installed"])

    add_import_paths(["one", "two"])
    add_import_paths(["two"])
    assert sys.path == ["own", "one", "two", "installed"]

    remove_import_paths(["one", "two", "never"])
    assert sys.path == ["own", "installed"]
