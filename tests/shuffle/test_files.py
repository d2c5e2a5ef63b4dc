import errno
import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from minispark.errors import StorageError
from minispark.ids import TaskId
from minispark.shuffle import files
from minispark.shuffle.files import (
    MapOutputDamaged,
    MapOutputFile,
    map_output_paths,
    read_segment,
    remove_attempt_files,
    remove_shuffle_files,
)
from minispark.shuffle.pairs import Compression
from tests.shuffle.outputs import SHUFFLE, session

MAP = TaskId(9)


def frames(*payloads: bytes) -> list[bytes]:
    return [part for payload in payloads for part in Compression(False).frame(payload)]


def write(directory: Path, partitions: list[list[bytes]], checksum: bool = True) -> list[int]:
    with MapOutputFile(str(directory), SHUFFLE, MAP, len(partitions), checksum) as file:
        for payloads in partitions:
            file.append(frames(*payloads))
        return file.commit()


def read(directory: Path, partition: int, verify: bool = True) -> list[bytes]:
    return list(read_segment(str(directory), SHUFFLE, MAP, partition, verify=verify))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    session(tmp_path / "session")
    return tmp_path / "session"


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "shuffle").iterdir())


def paths(directory: Path) -> tuple[Path, Path]:
    data, index = map_output_paths(str(directory), SHUFFLE, MAP)
    return Path(data), Path(index)


def test_each_partition_is_read_back_alone(directory: Path) -> None:
    lengths = write(directory, [[b"a", b"bc"], [], [b"d"]])

    assert lengths == [19, 0, 9]
    assert read(directory, 0) == [b"a", b"bc"]
    assert read(directory, 2) == [b"d"]
    assert names(directory) == ["shuffle_3_9.data", "shuffle_3_9.index"]


def test_an_output_without_any_record_can_be_committed(directory: Path) -> None:
    assert write(directory, [[], []]) == [0, 0]


def test_a_segment_too_large_to_be_held_is_read_in_pieces(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "WHOLE_BYTES", 10)
    monkeypatch.setattr(files, "BUFFER_BYTES", 16)
    write(directory, [[b"first"], [b"x" * 50, b"y" * 70], [b"last"]])

    assert read(directory, 1) == [b"x" * 50, b"y" * 70]


def test_without_commit_nothing_is_left(directory: Path) -> None:
    with MapOutputFile(str(directory), SHUFFLE, MAP, 1) as file:
        file.append(frames(b"a"))
        assert len(names(directory)) == 1

    assert names(directory) == []


def test_an_attempts_files_are_removed_and_no_others(directory: Path) -> None:
    folder = directory / "shuffle"
    for name in ("shuffle_3_9.data", "shuffle_3_9.index.01ab.tmp", "shuffle_4_9.data", "shuffle_9_19.data", "lock"):
        (folder / name).touch()

    assert remove_attempt_files(str(directory), TaskId(9)) == 3

    assert names(directory) == ["lock", "shuffle_9_19.data"]
    assert remove_attempt_files(str(directory / "gone"), TaskId(9)) == 0


@pytest.mark.scenario("SHF-004")
def test_of_two_attempts_under_one_id_the_first_commit_wins(directory: Path) -> None:
    with (
        MapOutputFile(str(directory), SHUFFLE, MAP, 1) as first,
        MapOutputFile(str(directory), SHUFFLE, MAP, 1) as second,
    ):
        first.append(frames(b"first"))
        second.append(frames(b"the second one"))
        lengths = second.commit()

        assert first.commit() == lengths == [22]

    assert read(directory, 0) == [b"the second one"]
    assert len(names(directory)) == 2


@pytest.mark.scenario("SHF-004")
def test_racing_attempts_leave_one_output_that_all_agree_on(directory: Path) -> None:
    outcomes: list[list[int]] = []
    barrier = threading.Barrier(4)

    def attempt(number: int) -> None:
        barrier.wait()
        outcomes.append(write(directory, [[b"x" * number], [b"y" * 2 * number]]))

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes == [outcomes[0]] * 4
    assert [8 + len(read(directory, 0)[0]), 8 + len(read(directory, 1)[0])] == outcomes[0]
    assert len(names(directory)) == 2


@pytest.mark.parametrize("damage", ["cut off data", "cut off index", "no data", "other version", "shifted"])
def test_an_output_that_is_not_whole_does_not_win(directory: Path, damage: str) -> None:
    write(directory, [[b"first"]])
    data, index = paths(directory)
    content = bytearray(index.read_bytes())
    match damage:
        case "cut off data":
            os.truncate(data, 4)
        case "cut off index":
            os.truncate(index, 10)
        case "no data":
            data.unlink()
        case "other version":
            content[4] = 99
            index.write_bytes(content)
        case _:
            content[20] += 1
            index.write_bytes(content)

    write(directory, [[b"second"]])

    assert read(directory, 0) == [b"second"]


def test_a_missing_file_is_damage(directory: Path) -> None:
    write(directory, [[b"a"]])
    data, index = paths(directory)

    data.unlink()
    with pytest.raises(MapOutputDamaged, match=r"shuffle_3_9\.data: No such file"):
        read(directory, 0)
    index.unlink()
    with pytest.raises(MapOutputDamaged, match=r"shuffle_3_9\.index: No such file"):
        read(directory, 0)


@pytest.mark.parametrize("size", [0, 1, 20])
def test_cut_off_data_is_damage(directory: Path, size: int) -> None:
    write(directory, [[b"abc"], [b"def"]])
    os.truncate(paths(directory)[0], size)

    with pytest.raises(MapOutputDamaged, match=f"has {size} bytes instead of 22"):
        read(directory, 0)


@pytest.mark.parametrize("size", [0, 19, 39])
def test_a_cut_off_index_is_damage(directory: Path, size: int) -> None:
    write(directory, [[b"abc"]])
    os.truncate(paths(directory)[1], size)

    with pytest.raises(MapOutputDamaged, match="is cut off"):
        read(directory, 0)


@pytest.mark.scenario("SHF-006")
@pytest.mark.parametrize("position", range(22))
def test_every_flipped_byte_of_a_segment_is_found(directory: Path, position: int) -> None:
    write(directory, [[b"abc"], [b"def"]])
    data = paths(directory)[0]
    content = bytearray(data.read_bytes())
    content[position] ^= 0x10
    data.write_bytes(content)

    with pytest.raises(MapOutputDamaged, match="wrong checksum: damaged on disk"):
        read(directory, position // 11)
    assert len(read(directory, 1 - position // 11)) == 1


@pytest.mark.parametrize("position", range(60))
def test_a_flipped_byte_of_the_index_never_gives_wrong_data(directory: Path, position: int) -> None:
    write(directory, [[b"abc"], [b"def"]])
    index = paths(directory)[1]
    content = bytearray(index.read_bytes())
    content[position] ^= 0x10
    index.write_bytes(content)

    for partition, expected in enumerate([b"abc", b"def"]):
        with suppress(MapOutputDamaged):
            assert read(directory, partition) == [expected]


def test_checksums_can_be_left_out_or_ignored(directory: Path) -> None:
    write(directory, [[b"abc"]], checksum=False)
    data = paths(directory)[0]
    data.write_bytes(data.read_bytes()[:-1] + b"!")
    assert read(directory, 0) == [b"ab!"]

    remove_shuffle_files([str(directory)], SHUFFLE)
    write(directory, [[b"abc"]])
    data.write_bytes(data.read_bytes()[:-1] + b"!")
    assert read(directory, 0, verify=False) == [b"ab!"]


def test_an_empty_partition_that_should_not_be_empty_is_damage(directory: Path) -> None:
    write(directory, [[], [b"abc"]])

    with pytest.raises(MapOutputDamaged, match="has nothing for partition 0"):
        read(directory, 0)


def test_all_files_of_a_shuffle_and_no_others_are_removed(directory: Path) -> None:
    write(directory, [[b"abc"]])
    other = directory / "shuffle" / "shuffle_33_9.data"
    other.write_bytes(b"")

    assert remove_shuffle_files([str(directory), "/not/here"], SHUFFLE) == 2

    assert names(directory) == [other.name]
    assert remove_shuffle_files([str(directory)], SHUFFLE) == 0


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.replace", full)

    with pytest.raises(StorageError, match=r"No space left on device; point minispark\.local\.dir to a larger disk"):
        write(directory, [[b"abc"]])
    assert names(directory) == []


def test_a_session_directory_that_is_gone_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write map output .*No such file"):
        write(tmp_path / "gone", [[b"abc"]])


def test_the_readers_own_limits_are_not_blamed_on_the_output(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more_files(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    write(directory, [[b"abc"]])
    monkeypatch.setattr("builtins.open", no_more_files)

    with pytest.raises(OSError, match="Too many open files"):
        read(directory, 0)
