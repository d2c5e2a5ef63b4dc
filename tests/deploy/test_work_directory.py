"""The worker's directory: what is made there, what is removed."""

import os
from pathlib import Path

import pytest

from minispark.deploy.work_directory import WorkDirectory, remove_session_files
from minispark.errors import ConfigurationError
from minispark.ids import ApplicationId, DriverId
from minispark.messages.deploy_values import ShippedFile
from minispark.storage.memory_folder import lock_of

APP = ApplicationId("app-1")
LONG_AGO = 1000.0


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def age(folder: Path, when: float = LONG_AGO) -> None:
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (when, when))


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_directory_that_cannot_be_written_to_is_refused_with_its_name_and_the_option(tmp_path: Path) -> None:
    fill(tmp_path, "file")
    with pytest.raises(ConfigurationError, match=r"/file cannot be written to .*--work-dir"):
        WorkDirectory(tmp_path / "file")


def test_each_executor_has_a_folder_of_its_own(tmp_path: Path) -> None:
    work = WorkDirectory(tmp_path / "work")
    assert work.make_executor(APP, 1) == tmp_path / "work/app-1/1"
    assert work.make_executor(APP, 2).is_dir()
    assert work.path.stat().st_mode & 0o777 == 0o700
    with pytest.raises(FileExistsError):
        work.make_executor(APP, 1)


def test_a_driver_finds_its_files_in_its_folder(tmp_path: Path) -> None:
    work = WorkDirectory(tmp_path)
    folder = work.make_driver(DriverId("driver-1"), [ShippedFile("app.py", b"print(1)")])
    assert (folder / "app.py").read_bytes() == b"print(1)"
    assert work.make_driver(DriverId("driver-1"), []) == folder


@pytest.mark.parametrize("name", ["", ".", "..", "/etc/passwd", "a/b", "a\0b"])
def test_files_of_drivers_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a file"):
        WorkDirectory(tmp_path).make_driver(DriverId("driver-1"), [ShippedFile(name, b"")])


@pytest.mark.parametrize("app_id", ["../../etc", "app-/../..", "etc", ""])
def test_ids_that_lead_elsewhere_are_refused(tmp_path: Path, app_id: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of a folder"):
        WorkDirectory(tmp_path).make_executor(ApplicationId(app_id), 1)


@pytest.mark.scenario("WRK-002", "work-dir cleanup removes old app dirs (± shuffle service db)")
def test_old_folders_are_removed_and_those_that_run_or_changed_are_not(tmp_path: Path) -> None:
    work = WorkDirectory(tmp_path)
    for name in ("app-old/1/stdout", "app-runs/1/stdout", "app-new/1/stdout", "driver-old/x", "mine/letters"):
        fill(tmp_path, name)
        age(tmp_path / name.split("/")[0])
    os.utime(tmp_path / "app-new/1/stdout", (LONG_AGO + 10, LONG_AGO + 10))
    (tmp_path / "app-link").symlink_to(tmp_path / "mine")

    removed = work.clean({"app-runs"}, older_than=LONG_AGO + 5)

    assert removed == ["app-old", "driver-old"]
    assert names(tmp_path) == ["app-new/1/stdout", "app-runs/1/stdout", "mine/letters"]


FILES = ("token", "log", "blocks/b", "blocks/rdd_1_0.5", "shuffle/0.data")


@pytest.mark.scenario("WRK-002", "non-shuffle files removed after executor exit (option)")
@pytest.mark.parametrize(
    ("served", "left"),
    [
        (True, ["minispark-1-a/blocks/rdd_1_0.5", "minispark-1-a/shuffle/0.data", "minispark-1-a/token", "stdout"]),
        (False, ["stdout"]),
    ],
)
def test_what_an_executor_leaves_is_removed_but_what_is_served(tmp_path: Path, served: bool, left: list[str]) -> None:
    fill(tmp_path, "stdout", *(f"minispark-1-a/{name}" for name in FILES))

    remove_session_files(tmp_path, served=served)

    assert names(tmp_path) == left


def test_what_a_crash_of_the_host_left_is_removed_but_what_is_in_use_or_served(tmp_path: Path) -> None:
    work = WorkDirectory(tmp_path)
    for number, session in enumerate(("left", "used", "served")):
        fill(
            tmp_path, f"app-1/{number}/minispark-{session}/lock", f"app-1/{number}/minispark-{session}/shuffle/0.data"
        )
    fill(tmp_path, "app-1/0/stdout", "app-1/3/minispark-being-made/token", "mine/0/minispark-1/lock")
    (tmp_path / "app-link").symlink_to(tmp_path / "mine")
    used = lock_of(tmp_path / "app-1/1/minispark-used")
    assert used is not None

    removed = work.sweep([str(tmp_path / "app-1/2/minispark-served")])

    os.close(used)
    assert removed == [tmp_path / "app-1/0/minispark-left"]
    assert not removed[0].exists()
    assert len([name for name in names(tmp_path) if name.endswith("0.data")]) == 2
