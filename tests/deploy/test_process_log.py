"""Logs that grow, are rolled, and lose nothing at their end."""

import asyncio
import os
from pathlib import Path

import pytest

from minispark.deploy.process_log import LOOK_S, LogRoller, RolledLog
from minispark.testing.virtual_loop import VirtualWorld, run_virtual


def write(fd: int, text: str) -> None:
    os.write(fd, text.encode())


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def test_a_small_log_is_left_alone(tmp_path: Path) -> None:
    log = RolledLog(tmp_path / "out", 10, 2)
    assert not log.roll_if_large()
    fd = log.open()
    write(fd, "short")
    assert not log.roll_if_large()
    os.close(fd)
    assert texts(tmp_path) == {"out": "short"}
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600


def test_a_large_log_is_rolled_while_it_is_written_and_the_oldest_goes(tmp_path: Path) -> None:
    log = RolledLog(tmp_path / "out", 5, 2)
    fd = log.open()
    for text in ("first", "second", "third.", "last"):
        write(fd, text)
        log.roll_if_large()
    os.close(fd)
    assert texts(tmp_path) == {"out": "last", "out.1": "third.", "out.2": "second"}


def test_of_a_log_that_far_outgrew_its_bound_the_end_is_kept(tmp_path: Path) -> None:
    log = RolledLog(tmp_path / "out", 4, 1)
    (tmp_path / "out").write_text("0123456789")
    assert log.roll_if_large()
    assert texts(tmp_path) == {"out": "", "out.1": "23456789"}


@pytest.mark.parametrize(("max_size", "retained", "left"), [(0, 2, "0123456789"), (4, 0, "")])
def test_a_log_may_be_never_rolled_or_just_emptied(tmp_path: Path, max_size: int, retained: int, left: str) -> None:
    (tmp_path / "out").write_text("0123456789")
    RolledLog(tmp_path / "out", max_size, retained).roll_if_large()
    assert texts(tmp_path) == {"out": left}


def test_the_last_lines_are_told_and_a_log_that_is_not_there_has_none(tmp_path: Path) -> None:
    log = RolledLog(tmp_path / "stderr")
    assert log.tail() == ""

    log.path.write_bytes(b"x" * 10_000 + b"\n" + b"".join(b"line %d \xff\n" % number for number in range(12)))

    assert log.tail().splitlines() == [f"line {number} \ufffd" for number in range(12)]


def test_logs_of_running_processes_are_looked_at_every_few_seconds(tmp_path: Path) -> None:
    async def main() -> None:
        world = VirtualWorld()
        roller = LogRoller(world)
        running, ended, broken = (RolledLog(tmp_path / name / "out", 4, 1) for name in ("a", "b", "c"))
        for log in (running, ended, broken):
            log.path.parent.mkdir()
            log.path.write_text("0123456789")
        broken.predecessor(1).mkdir()
        roller.add(broken, running, ended)
        roller.remove(ended)
        task = asyncio.ensure_future(roller.run())
        await world.sleep(LOOK_S + 1)
        task.cancel()

    run_virtual(main())
    assert texts(tmp_path / "a") == {"out": "", "out.1": "23456789"}
    assert texts(tmp_path / "b") == {"out": "0123456789"}
    assert (tmp_path / "c" / "out").read_text() == "0123456789"
