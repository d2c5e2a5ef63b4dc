from pathlib import Path

import pytest

from minispark.storage.memory_bound import available_memory, storage_bound, task_share

MIB = 1 << 20


def files(folder: Path, **texts: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_the_bound_is_a_part_of_the_memory() -> None:
    assert storage_bound(1000 * MIB, 0.6) == 600 * MIB


def test_a_bound_that_was_set_counts_as_it_is() -> None:
    assert storage_bound(1000 * MIB, 0.6, 5) == 5


@pytest.mark.scenario("HIS-005", "MemoryManager")
def test_tasks_share_what_storage_cannot_keep_from_them() -> None:
    assert task_share(1000 * MIB, 0.6, 0.5, 3) == 100 * MIB
    assert task_share(1000 * MIB, 0.6, 0.2, 3) == 160 * MIB
    assert task_share(1 * MIB, 0.6, 0.5, 2) == 8 * MIB
    assert task_share(1000 * MIB, 0.6, 1.0, 3) == MIB, "they must get on somehow"


def test_without_limits_the_memory_is_what_the_machine_has_to_spare(tmp_path: Path) -> None:
    files(tmp_path / "proc", meminfo="MemTotal: 9000 kB\nMemAvailable: 4096 kB\n")

    assert available_memory(tmp_path / "proc", tmp_path / "cgroup") == 4 * MIB


def test_a_limit_of_a_group_around_counts(tmp_path: Path) -> None:
    files(tmp_path / "proc", meminfo="MemAvailable: 409600 kB\n")
    files(tmp_path / "proc/self", cgroup="0::/box/inner\n")
    files(tmp_path / "cgroup/box/inner", memory__max="max\n", memory__current="7\n")
    files(tmp_path / "cgroup/box", memory__max=f"{50 * MIB}\n", memory__current=f"{20 * MIB}\n")

    assert available_memory(tmp_path / "proc", tmp_path / "cgroup") == 30 * MIB


def test_a_limit_of_a_memory_controller_counts(tmp_path: Path) -> None:
    files(tmp_path / "proc", meminfo="MemAvailable: 409600 kB\n")
    files(tmp_path / "proc/self", cgroup="4:memory:/box\n5:cpu:/box\n")
    folder = tmp_path / "cgroup/memory/box"
    files(folder, memory__limit_in_bytes=f"{9 * MIB}")
    (folder / "memory.limit_in_bytes").write_text(f"{9 * MIB}")
    (folder / "memory.usage_in_bytes").write_text(f"{2 * MIB}")

    assert available_memory(tmp_path / "proc", tmp_path / "cgroup") == 7 * MIB


def test_the_memory_of_this_machine_is_known() -> None:
    assert available_memory() > 0


def test_files_that_the_kernel_need_not_keep_take_no_memory_of_a_group(tmp_path: Path) -> None:
    files(tmp_path / "proc", meminfo="MemAvailable: 409600 kB\n")
    files(tmp_path / "proc/self", cgroup="0::/box\n")
    stat = f"anon {20 * MIB}\ninactive_file {15 * MIB}\nactive_file {5 * MIB}\n"
    files(tmp_path / "cgroup/box", memory__max=f"{50 * MIB}\n", memory__current=f"{40 * MIB}\n", memory__stat=stat)

    assert available_memory(tmp_path / "proc", tmp_path / "cgroup") == 30 * MIB
