"""minispark.cli.notify: the datagrams that systemd gets."""

import socket
from pathlib import Path

import pytest

from minispark.cli.notify import Notifier


def heard_by(line: socket.socket, notifier: Notifier) -> list[str]:
    notifier.ready("a master")
    notifier.alive()
    notifier.stopping()
    return [line.recv(1024).decode() for _ in range(3)]


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_that_it_is_ready_alive_and_stopping(tmp_path: Path, abstract: bool) -> None:
    name = f"@minispark-test-{tmp_path}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(name.replace("@", "\0"))
        line.settimeout(60)

        heard = heard_by(line, Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "3000000"}))

    assert heard == ["READY=1\nSTATUS=a master", "WATCHDOG=1", "STOPPING=1"]


def test_the_watchdog_hears_twice_in_its_time() -> None:
    assert Notifier({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "3000000"}).watchdog_s == 1.5
    assert Notifier({"NOTIFY_SOCKET": "/x"}).watchdog_s is None
    assert Notifier({"WATCHDOG_USEC": "3000000"}).watchdog_s is None


def test_a_systemd_that_is_not_there_is_passed_over(tmp_path: Path) -> None:
    assert Notifier({}).address == ""
    Notifier({}).ready("alone")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).stopping()
