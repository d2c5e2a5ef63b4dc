from pathlib import Path

from minispark.storage.memory_folder import MemoryFolder, folder_of, remove_memory, sweep_memory

SESSION = "/work/minispark-1-0123"


def test_a_folder_is_made_when_it_is_needed(tmp_path: Path) -> None:
    folder = MemoryFolder(SESSION, tmp_path)
    assert list(tmp_path.iterdir()) == []

    assert folder.directory == str(tmp_path / "minispark-1-0123.memory")
    assert folder.path.stat().st_mode & 0o777 == 0o700


def test_where_there_is_no_such_file_system_there_is_no_folder(tmp_path: Path) -> None:
    assert MemoryFolder(SESSION, tmp_path / "missing").directory is None


def test_it_is_removed_by_whoever_knows_the_session_directory(tmp_path: Path) -> None:
    folder = MemoryFolder(SESSION, tmp_path)
    Path(folder.directory or "", "rdd_1_0.0").write_bytes(b"data")

    remove_memory(SESSION, tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_ours_by_its_name_is_not_removed(tmp_path: Path) -> None:
    folder_of("/work/precious", tmp_path).mkdir()

    remove_memory("/work/precious", tmp_path)

    assert folder_of("/work/precious", tmp_path).exists()


def test_a_sweep_removes_what_nobody_holds(tmp_path: Path) -> None:
    held, left = MemoryFolder(SESSION, tmp_path), MemoryFolder("/work/minispark-2-4567", tmp_path)
    assert held.directory
    assert left.directory
    (tmp_path / "minispark-3-89ab.memory").mkdir()  # made a moment ago
    left.release()

    assert sweep_memory(tmp_path) == [left.path]
    assert sorted(path.name for path in tmp_path.iterdir()) == [held.path.name, "minispark-3-89ab.memory"]


def test_the_first_use_sweeps_what_killed_executors_left(tmp_path: Path) -> None:
    left = MemoryFolder("/work/minispark-2-4567", tmp_path)
    assert left.directory
    left.release()

    assert MemoryFolder(SESSION, tmp_path).directory
    assert not left.path.exists()


def test_what_was_released_is_not_held_and_can_be_released_again(tmp_path: Path) -> None:
    folder = MemoryFolder(SESSION, tmp_path)
    assert folder.directory
    folder.release()
    folder.release()

    assert folder.lock_fd is None
    assert sweep_memory(tmp_path) == [folder.path]
