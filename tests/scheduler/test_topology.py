import asyncio
import re
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVarTuple

import pytest

from minispark.errors import ConfigurationError
from minispark.rpc.scope import TaskScope
from minispark.scheduler.topology import Script, Topology, load_function, read_table
from minispark.testing.virtual_loop import VirtualWorld, run_virtual, settle

Ts = TypeVarTuple("Ts")

asked: list[list[str]] = []


def racks_by_last_letter(hosts: list[str]) -> Sequence[str]:
    """A resolver of a user."""
    asked.append(hosts)
    return [f"r{host[-1]}" if host[-1].isdigit() else "" for host in hosts]


def too_few(hosts: list[str]) -> Sequence[str]:
    """A resolver of a careless user."""
    return []


def exits(hosts: list[str]) -> Sequence[str]:
    """A resolver that is a program."""
    raise SystemExit(3)


def table(hosts: list[str]) -> dict[str, str]:
    """A resolver that gives something else than a list; its keys look like one."""
    return dict.fromkeys(hosts, "r1")


def lists(hosts: list[str]) -> list[list[str]]:
    """A resolver whose racks are no texts."""
    return [["r1"] for _ in hosts]


class ThreadWorld(VirtualWorld):
    """Threads run when they are let go, on the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[Callable[[], object]] = []

    def start_thread(self, function: Callable[[*Ts], object], *args: *Ts, name: str) -> None:
        self.threads.append(partial(function, *args))


class Asking:
    """A topology that counts the changes it tells of. Make it inside of a running loop."""

    def __init__(self, setting: str) -> None:
        self.changes = 0
        self.world = ThreadWorld()
        self.scope = TaskScope("test")
        self.topology = Topology(setting, self.world, self.scope, self.changed)

    async def answered(self) -> None:
        """Let the threads that were started end."""
        await settle()
        while self.world.threads:
            self.world.threads.pop(0)()
            await settle()

    def changed(self) -> None:
        self.changes += 1


def write_program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_table_says_the_racks_and_may_have_comments(tmp_path: Path) -> None:
    (tmp_path / "racks").write_text("# where\nh1 r1\n\nh2\tr2  # new\n")
    assert read_table(str(tmp_path / "racks")) == {"h1": "r1", "h2": "r2"}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("table:/nowhere/racks", "'/nowhere/racks' cannot be read"),
        ("python:no_such_module:f", "python:no_such_module:f cannot be loaded"),
        ("python:math:pi", "math:pi is not a function"),
        ("python:this_one.is:bad", "cannot be loaded: ModuleNotFoundError"),
        ("racks.txt", "'racks.txt' begins neither with"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_and_named(setting: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Topology(setting, VirtualWorld(), TaskScope("test"), lambda: None)


def test_a_module_that_fails_at_its_import_is_refused_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "racks_of_mine.py").write_text("raise RuntimeError('no such site')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError, match="racks_of_mine:f cannot be loaded: RuntimeError: no such site"):
        load_function("racks_of_mine:f")


def test_a_line_of_a_table_that_is_not_two_words_is_named(tmp_path: Path) -> None:
    (tmp_path / "racks").write_text("h1 r1\nh2\n")
    with pytest.raises(ConfigurationError, match=r"racks:2: HOST RACK is needed, not 'h2'"):
        read_table(str(tmp_path / "racks"))


def test_hosts_are_asked_for_together_and_once() -> None:
    async def scenario() -> None:
        asked.clear()
        asking = Asking(f"python:{__name__}:racks_by_last_letter")
        asking.topology.resolve(["a1", "a2", "a1"])
        asking.topology.resolve(["a2", "b1", "x"])
        await asking.answered()
        asking.topology.resolve(["a1", "x"])
        await asking.answered()
        assert asked == [["a1", "a2", "b1", "x"]]
        assert asking.topology.rack_of == {"a1": "r1", "a2": "r2", "b1": "r1"}
        assert asking.changes == 1

    run_virtual(scenario())


def test_without_a_resolver_nobody_is_asked() -> None:
    async def scenario() -> None:
        asking = Asking("")
        asking.topology.resolve(["a1"])
        await settle()
        assert (asking.topology.rack_of, asking.changes) == ({}, 0)

    run_virtual(scenario())


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("script:/nowhere/racks.sh", "FileNotFoundError"),
        (f"python:{__name__}:too_few", "it gave 0 racks for 1 hosts"),
        (f"python:{__name__}:exits", "SystemExit: 3"),
        (f"python:{__name__}:table", "it gave dict, not a list"),
        (f"python:{__name__}:lists", r"a rack is a text, or None; it gave \['r1'\]"),
    ],
)
def test_a_resolver_that_fails_means_no_racks_and_one_warning(
    setting: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        asking = Asking(setting)
        for host in ("a1", "a2"):
            asking.topology.resolve([host])
            await asking.answered()
        assert (asking.topology.rack_of, asking.changes) == ({}, 0)
        assert len(caplog.records) == 1
        assert setting in caplog.text
        assert re.search(words, caplog.text)

    run_virtual(scenario())


def test_a_resolver_that_does_not_answer_is_named_and_its_late_answer_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        asking = Asking(f"python:{__name__}:racks_by_last_letter")
        asking.topology.resolve(["a1"])
        await asyncio.sleep(31)
        assert "racks_by_last_letter fails" in caplog.text
        assert "no answer after 30 s" in caplog.text
        await asking.answered()
        assert (asking.topology.rack_of, asking.changes) == ({"a1": "r1"}, 1)

    run_virtual(scenario())


def test_nobody_waits_at_the_end_for_a_resolver_that_hangs() -> None:
    async def scenario() -> None:
        asking = Asking(f"python:{__name__}:racks_by_last_letter")
        asking.topology.resolve(["a1"])
        await settle()
        await asking.scope.close()
        await asking.answered()
        assert (asking.topology.rack_of, asking.changes) == ({}, 0)

    run_virtual(scenario())


@pytest.mark.cluster
def test_a_script_gets_hosts_and_gives_a_rack_a_line(tmp_path: Path) -> None:
    script = Script(write_program(tmp_path / "racks.sh", 'for host; do echo "rack-of-$host"; done'))
    assert script(["h1", "h2"]) == ["rack-of-h1", "rack-of-h2"]


@pytest.mark.cluster
def test_a_script_that_hangs_is_given_up(tmp_path: Path) -> None:
    script = Script(write_program(tmp_path / "racks.sh", "exec sleep 100"), timeout_s=0.05)
    with pytest.raises(subprocess.TimeoutExpired, match=r"racks\.sh"):
        script(["h1"])


def test_a_function_is_found_by_module_and_name() -> None:
    assert load_function(f"{__name__}:too_few") is too_few
