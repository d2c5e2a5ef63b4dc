import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from minispark.errors import JournalError
from minispark.rpc.scope import TaskScope
from minispark.scheduler import journal
from minispark.scheduler.journal import JournalEntry, JournalHeader, JournalWriter, read_journal
from minispark.testing.virtual_loop import VirtualWorld, run_virtual

HEADER = JournalHeader("minispark 1", "3.11", {"minispark.task.cpus": "2"}, 4, 7, [["etl", "fair", 0, 1, ""]])


def entry(number: int, size: int = 10) -> JournalEntry:
    return JournalEntry(number, 1.5, 0.5, "DAGScheduler", bytes(size), [3, "x"], 2, 99)


def write(
    path: Path, entries: list[JournalEntry], meanwhile: Callable[[JournalWriter], object] | None = None
) -> JournalWriter:
    async def run() -> JournalWriter:
        scope = TaskScope("test")
        writer = JournalWriter(path, VirtualWorld(), scope, HEADER)
        for each in entries:
            writer.add(each)
        if meanwhile is not None:
            await asyncio.sleep(1.0)
            meanwhile(writer)
        await scope.close()
        await writer.close()
        return writer

    return run_virtual(run())


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    entries = [entry(0), entry(1, 100_000), entry(2)]
    write(tmp_path / "j", entries)
    header, found = read_journal(tmp_path / "j")
    assert header == HEADER
    assert list(found) == entries


def test_entries_are_in_the_file_soon_after_they_came(tmp_path: Path) -> None:
    seen: list[int] = []
    write(tmp_path / "j", [entry(0)], lambda writer: seen.append(len(list(read_journal(tmp_path / "j")[1]))))
    assert seen == [1]


def test_a_disk_that_fails_ends_the_journal_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        writer = write(tmp_path / "missing" / "j", [entry(0)], lambda writer: writer.add(entry(1)))
    assert writer.failed
    assert len(caplog.records) == 1
    assert "No such file or directory" in caplog.text


def test_a_disk_that_is_too_slow_ends_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journal, "MAX_WAITING", 1000)
    writer = write(tmp_path / "j", [entry(0, 600), entry(1, 600), entry(2, 600)])
    assert writer.failed
    assert not writer.waiting
    assert "too slow" in caplog.text


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not a scheduler's journal"),
        (b"PK\x03\x04 something else", "not a scheduler's journal"),
        (b"minispark journal 9\n....", "a journal of another version"),
        (b"minispark journal 1\n", "has no header"),
        (b"minispark journal 1\n\0\0", "is cut off at byte 20"),
        (b"minispark journal 1\n\xff\xff\xff\xff", "is cut off at byte 20"),
        (b"minispark journal 1\n\0\0\0\1\xc1", "is damaged at byte 20"),
        (b"minispark journal 1\n\0\0\0\1\x05", "is damaged at byte 20: a int"),
    ],
)
def test_a_foreign_or_damaged_file_is_told_clearly(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(JournalError, match=complaint):
        read_journal(tmp_path / "j")


def test_a_missing_file_is_told_clearly(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be read: No such file"):
        read_journal(tmp_path / "nothing")


def test_what_comes_before_the_cut_can_be_read(tmp_path: Path) -> None:
    write(tmp_path / "j", [entry(0), entry(1)])
    (tmp_path / "j").write_bytes((tmp_path / "j").read_bytes()[:-3])
    entries = read_journal(tmp_path / "j")[1]
    assert next(entries) == entry(0)
    with pytest.raises(JournalError, match=r"cut off at byte .*what comes before can be replayed"):
        next(entries)


def test_an_entry_of_another_shape_is_told_clearly(tmp_path: Path) -> None:
    write(tmp_path / "j", [])
    with (tmp_path / "j").open("ab") as file:
        file.write(b"\0\0\0\2\x91\x05")
    with pytest.raises(JournalError, match="an entry has 1 values"):
        list(read_journal(tmp_path / "j")[1])
