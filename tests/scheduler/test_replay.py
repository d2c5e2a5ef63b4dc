import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest

from minispark.context import SparkContext
from minispark.errors import JobCancelled, JournalError
from minispark.scheduler.journal import (
    ENTRY_FIELDS,
    FORMAT,
    HEADER_FIELDS,
    JournalEntry,
    JournalHeader,
    frame_of,
    read_journal,
)
from minispark.scheduler.logic.dag import DagState
from minispark.scheduler.replay import Replay
from tests.contexts import run_inline
from tests.scheduler.journals import write_journal


def rewrite(path: Path, header: JournalHeader, entries: list[JournalEntry]) -> None:
    frames = [frame_of(header, HEADER_FIELDS), *(frame_of(entry, ENTRY_FIELDS) for entry in entries)]
    path.write_bytes(FORMAT + b"".join(frames))


@pytest.mark.parametrize("seed", range(6))
def test_a_replay_decides_what_was_decided(tmp_path: Path, seed: int) -> None:
    write_journal(tmp_path / "j", seed)
    replay = Replay(tmp_path / "j")
    steps = list(replay.steps())
    assert all(step.agrees for step in steps)
    assert sum(len(step.decisions) for step in steps) > 50
    replay.dag.state.assert_empty()
    replay.tasks.assert_empty()


def test_the_journal_of_a_real_run_with_a_failure_and_a_cancel_replays(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        sc.configure_pool("etl", min_share=1)
        assert sorted(await pairs(sc).collect()) == [(0, 4), (1, 4), (2, 4)]
        with pytest.raises(ZeroDivisionError):
            await sc.parallelize(range(4), 4).map(lambda n: 1 // n).collect()
        job = asyncio.ensure_future(pairs(sc).collect())
        await asyncio.sleep(0)
        sc.cancel_all_jobs("enough")
        with pytest.raises(JobCancelled):
            await job

    def pairs(sc: SparkContext) -> Any:
        return sc.parallelize(range(12), 4).map(lambda n: (n % 3, 1)).reduce_by_key(lambda a, b: a + b, 3)

    run_inline(scenario, master="local[2,2]", scheduler_journal=tmp_path / "j", scheduler_mode="fair")
    steps = list(Replay(tmp_path / "j").steps())
    assert [step.what for step in steps if not step.agrees] == []
    decisions = [decision for step in steps for decision in step.decisions]
    assert {"job 0 succeeded", "job 2 failed, cancelled: enough"} <= set(decisions)
    assert any(decision.startswith("job 1 failed, task failures") for decision in decisions)


def test_a_changed_decision_is_found_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_journal(tmp_path / "j")
    original = DagState.submit_job

    def hasty(state: DagState, submitted: Any) -> None:
        original(state, submitted)
        state.effects.append(state.effects[-1])

    monkeypatch.setattr(DagState, "submit_job", hasty)
    first = next(step for step in Replay(tmp_path / "j").steps() if not step.agrees)
    assert first.what.startswith("JobSubmitted(job_id=0")
    assert len(first.decisions) == first.entry.decisions + 1


def test_other_settings_are_found_out(tmp_path: Path) -> None:
    write_journal(tmp_path / "j")
    header, entries = read_journal(tmp_path / "j")
    rewrite(tmp_path / "other", replace(header, conf={**header.conf, "minispark.task.cpus": "2"}), list(entries))
    assert not all(step.agrees for step in Replay(tmp_path / "other").steps())


def test_an_entry_that_nobody_understands_is_a_difference(tmp_path: Path) -> None:
    write_journal(tmp_path / "j")
    header, entries = read_journal(tmp_path / "j")
    rewrite(tmp_path / "other", header, [replace(next(entries), target="Nobody")])
    (step,) = Replay(tmp_path / "other").steps()
    assert not step.agrees
    assert "which nobody knows" in step.decisions[0]


def test_a_body_that_is_damaged_is_told_clearly(tmp_path: Path) -> None:
    write_journal(tmp_path / "j")
    header, entries = read_journal(tmp_path / "j")
    rewrite(tmp_path / "other", header, [replace(next(entries), body=msgpack.packb([30_000]))])
    with pytest.raises(JournalError, match=r"entry 0 .* cannot be understood: no message is known"):
        list(Replay(tmp_path / "other").steps())


def test_settings_of_another_version_are_told_clearly(tmp_path: Path) -> None:
    write_journal(tmp_path / "j")
    header, _ = read_journal(tmp_path / "j")
    rewrite(tmp_path / "other", replace(header, conf={"minispark.task.cpuz": "2"}), [])
    with pytest.raises(JournalError, match=r"settings in the journal .* cannot be used"):
        Replay(tmp_path / "other")
