"""How much memory there is, in a container and outside of it."""

from pathlib import Path

import pytest

from minispark.deploy.host_memory import available_memory, default_memory, oom_kills

GIB = 1 << 30


def machine(root: Path, groups: str, **files: str) -> tuple[Path, Path]:
    """Make a /proc and a /sys/fs/cgroup of a machine with 8 GiB; `a__b` stands for the file a/b."""
    proc, cgroups = root / "proc", root / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text(f"MemTotal: {8 * GIB // 1024} kB\nMemFree: 1 kB\n")
    (proc / "self/cgroup").write_text(groups)
    for name, text in files.items():
        path = cgroups / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return proc, cgroups


def test_without_a_limit_it_is_the_memory_of_the_machine(tmp_path: Path) -> None:
    place = machine(tmp_path, "0::/a\n", a__memory_dot_max="max\n")

    assert available_memory(*place) == 8 * GIB
    assert default_memory(*place) == 7 * GIB
    assert oom_kills(*place) == 0


def test_the_least_limit_around_the_process_counts(tmp_path: Path) -> None:
    place = machine(tmp_path, "0::/a/b\n", a__memory_dot_max=str(2 * GIB), a__b__memory_dot_max=str(4 * GIB))

    assert available_memory(*place) == 2 * GIB


def test_limits_of_the_first_version_count(tmp_path: Path) -> None:
    place = machine(
        tmp_path, "3:cpu:/c\n2:memory:/m\n", memory__m__memory_dot_limit_in_bytes=str(3 * GIB),
        memory__m__memory_dot_oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
    )  # fmt: skip

    assert available_memory(*place) == 3 * GIB
    assert oom_kills(*place) == 4


def test_a_small_machine_still_offers_something(tmp_path: Path) -> None:
    place = machine(tmp_path, "0::/\n", memory_dot_max=str(GIB))

    assert default_memory(*place) == GIB // 4


def test_the_kernels_kills_are_counted(tmp_path: Path) -> None:
    place = machine(tmp_path, "0::/a\n", a__memory_dot_events="low 0\noom 3\noom_kill 2\noom_group_kill 0\n")

    assert oom_kills(*place) == 2


@pytest.mark.parametrize("ask", [available_memory, oom_kills])
def test_the_machine_at_hand_can_be_asked(ask: object) -> None:
    assert callable(ask)
    assert ask() >= 0
