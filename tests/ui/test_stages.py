"""minispark.ui.stages: the table of stages, and figures as people read them."""

import pytest

from minispark.ids import JobId, StageId
from minispark.messages.listener import JobEnd, ListenerEvent, StageCompleted, StageInfo
from minispark.messages.task import TaskMetrics
from minispark.ui.stages import human_bytes, human_seconds, stage_table


def stage(number: int, name: str, *, attempt: int = 0, failure: str = "", **metrics: int) -> StageInfo:
    return StageInfo(
        StageId(number), attempt, name, 8, (), not number, 100.0, 101.25, failure, TaskMetrics(**metrics)
    )  # fmt: skip


def test_the_table_has_a_line_for_each_stage_that_ended_in_their_order() -> None:
    events: list[ListenerEvent] = [
        StageCompleted(stage(0, "reduce_by_key at app.py:12", shuffle_write_bytes=2048)),
        StageCompleted(stage(1, "top at app.py:12", shuffle_read_bytes=2048)),
        JobEnd(JobId(0), 101.0, "succeeded", ""),
    ]

    assert stage_table(events).splitlines() == [
        "stage  what                        tasks    time  shuffle read  shuffle write",
        "─────  ──────────────────────────  ─────  ──────  ────────────  ─────────────",
        "    0  reduce_by_key at app.py:12      8  1.25 s           0 B        2.0 KiB",
        "    1  top at app.py:12                8  1.25 s       2.0 KiB            0 B",
    ]


def test_a_failed_attempt_and_a_later_one_can_be_told_apart() -> None:
    lines = stage_table(
        [StageCompleted(stage(3, "map", failure="fetch failed")), StageCompleted(stage(3, "map", attempt=1))]
    ).splitlines()

    assert lines[2].split()[:3] == ["3", "map", "(failed)"]
    assert lines[3].split()[:2] == ["3.1", "map"]


def test_a_long_name_is_cut() -> None:
    line = stage_table([StageCompleted(stage(0, "x" * 100))]).splitlines()[2]

    assert "x" * 43 + "…" in line
    assert "x" * 44 not in line


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (17_715, "17.3 KiB"), (5 << 20, "5.0 MiB"), (3 << 50, "3072.0 TiB")],
)
def test_sizes_have_the_unit_that_fits(count: int, text: str) -> None:
    assert human_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 ms"), (0.0042, "4 ms"), (1.254, "1.25 s"), (200.0, "3 min 20 s"), (7260, "121 min 0 s")],
)
def test_durations_have_the_unit_that_fits(seconds: float, text: str) -> None:
    assert human_seconds(seconds) == text
