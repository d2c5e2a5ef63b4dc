import os
from pathlib import Path

import pytest

from minispark.cores import available_cores


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))


def test_without_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    assert available_cores(tmp_path, tmp_path) == 8


@pytest.mark.parametrize(("limit", "cores"), [("max 100000", 8), ("250000 100000", 3), ("50000 100000", 1)])
def test_the_quota_of_the_processs_own_group_counts(tmp_path: Path, limit: str, cores: int) -> None:
    write(tmp_path / "proc/self/cgroup", "0::/app/web\n")
    write(tmp_path / "groups/app/web/cpu.max", limit + "\n")
    assert available_cores(tmp_path / "proc", tmp_path / "groups") == cores


def test_a_tighter_quota_further_up_the_path_counts(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "0::/app/web\n")
    write(tmp_path / "groups/app/web/cpu.max", "400000 100000\n")
    write(tmp_path / "groups/app/cpu.max", "200000 100000\n")
    assert available_cores(tmp_path / "proc", tmp_path / "groups") == 2


@pytest.mark.parametrize(("quota", "cores"), [("-1", 8), ("300000", 3)])
def test_the_first_versions_cpu_controller_counts(tmp_path: Path, quota: str, cores: int) -> None:
    write(tmp_path / "proc/self/cgroup", "4:cpu,cpuacct:/job\n3:memory:/job\n0::/\n")
    write(tmp_path / "groups/cpu/job/cpu.cfs_quota_us", quota + "\n")
    write(tmp_path / "groups/cpu/job/cpu.cfs_period_us", "100000\n")
    assert available_cores(tmp_path / "proc", tmp_path / "groups") == cores
