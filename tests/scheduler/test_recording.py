import asyncio
from pathlib import Path
from typing import cast

from minispark.conf import SparkConf
from minispark.ids import BinaryId, ExecutorId, JobId, RddId, StageId, TaskId
from minispark.messages.scheduler import JobSubmitted, KillTaskSet, ReviveOffers, TaskStarted
from minispark.messages.task import DirectResult, Lineage, LineageNode, TaskLocation
from minispark.scheduler.direct_runner import DirectRunner
from minispark.scheduler.journal import JournalEntry, read_journal
from minispark.scheduler.logic.cached import Rows
from minispark.scheduler.logic.job import JobFailure
from minispark.scheduler.recording import RACKS, Recorder, Unrecorded, describe, recorder_for
from minispark.scheduler.topology import Topology
from minispark.testing.builders import map_success, submit_job, task_ended, task_set
from minispark.testing.fakes import RecordingRef
from minispark.testing.stepped_world import SteppedScope, SteppedWorld
from tests.scheduler.journals import write_journal
from tests.scheduler.scheduler_harness import FakeBackend

KILL = KillTaskSet(StageId(1), True, "enough")


def recorder() -> tuple[Recorder, SteppedWorld, list[JournalEntry]]:
    world, entries = SteppedWorld(), list[JournalEntry]()
    return Recorder(world, entries.append), world, entries


def test_an_entry_holds_what_came_in_and_a_digest_of_what_was_decided() -> None:
    record, _, entries = recorder()
    ref = RecordingRef("TaskScheduler")
    for decides in (True, False, True):
        record.message("DAGScheduler", KILL)
        if decides:
            record.ref(ref).send(KILL)
    record.finish()
    assert [each.number for each in entries] == [0, 1, 2]
    assert [each.decisions for each in entries] == [1, 0, 1]
    assert entries[0].digest == entries[2].digest != entries[1].digest
    assert ref.sent == [KILL, KILL]


def test_messages_to_others_are_no_entries_and_starts_of_tasks_no_decisions() -> None:
    record, _, entries = recorder()
    record.message("BinaryServer", KILL)
    record.message("TaskScheduler", KILL)
    started = TaskStarted(StageId(0), 0, TaskId(0), 0, 0, 0, ExecutorId("e"), "h")
    record.ref(RecordingRef()).send(started)
    record.finish()
    assert [(each.target, each.decisions) for each in entries] == [("TaskScheduler", 0)]


def test_the_clock_stands_still_while_a_message_is_handled() -> None:
    record, world, entries = recorder()
    seen = record.world(world)
    world.now = 5.0
    record.message("TaskScheduler", KILL)
    world.now = 6.0
    assert (seen.monotonic(), seen.wall()) == (5.0, record.wall_s)
    record.message("TaskScheduler", KILL)
    assert seen.monotonic() == 6.0
    assert [each.monotonic_s for each in entries] == [5.0]


def test_the_schedulers_have_a_chance_of_their_own() -> None:
    world = SteppedWorld()
    draws = [Recorder(world, lambda entry: None, seed).world(world).rng.random() for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_racks_that_become_known_are_entries() -> None:
    record, world, entries = recorder()
    known: list[int] = []
    topology = Topology("", world, SteppedScope("test"), lambda: known.append(len(topology.rack_of)))
    record.racks(topology)
    topology.rack_of["host"] = "rack"
    topology.changed()
    record.finish()
    assert known == [1]
    assert [(each.target, each.body) for each in entries] == [(RACKS, b"\x81\xa4host\xa4rack")]


def test_where_blocks_are_cached_is_kept_as_it_was_read() -> None:
    record, _, entries = recorder()
    rows = [[TaskLocation("host", ExecutorId("e"))], []]

    class Blocks:
        def locations(self, rdd_id: RddId) -> Rows | None:
            return rows if rdd_id == 1 else None

    cached = record.cached(Blocks())
    record.message("DAGScheduler", KILL)
    assert (cached.locations(RddId(1)), cached.locations(RddId(2))) == (rows, None)
    record.finish()
    assert entries[0].reads == [[[["host", "e"]], []], None]


def test_what_is_read_of_others_is_kept() -> None:
    record, _, entries = recorder()
    backend = record.backend(FakeBackend())
    assert backend.max_concurrent_tasks == 4  # before the first message it is not kept
    record.message("DAGScheduler", KILL)
    assert backend.max_concurrent_tasks == 4
    backend.kill_task(TaskId(3), ExecutorId("e"), True, "enough")
    backend.revive_offers()
    record.finish()
    assert (entries[0].reads, entries[0].decisions) == ([4], 1)


def test_results_and_ends_of_jobs_are_decisions() -> None:
    record, _, entries = recorder()
    heard: list[str] = []

    class Jobs:
        def task_succeeded(self, job_id: JobId, position: int, result: DirectResult) -> None:
            heard.append(f"{job_id}: {position}")

        def job_succeeded(self, job_id: JobId) -> None:
            heard.append(f"{job_id}: done")

        def job_failed(self, job_id: JobId, failure: JobFailure) -> None:
            heard.append(f"{job_id}: {failure.message}")

        def all_failed(self, failure: JobFailure) -> None:
            heard.append(failure.message)

    jobs = record.jobs(Jobs())
    record.message("DAGScheduler", KILL)
    jobs.task_succeeded(JobId(1), 0, DirectResult(False, ()))
    jobs.job_succeeded(JobId(1))
    jobs.job_failed(JobId(2), JobFailure("aborted", "no"))
    jobs.all_failed(JobFailure("aborted", "all"))
    assert heard == ["1: 0", "1: done", "2: no", "all"]
    assert len(record.decisions) == 4
    assert not entries


def test_what_runs_directly_is_a_decision() -> None:
    record, _, entries = recorder()
    heard: list[str] = []

    class Runner:
        def run(self, job: JobSubmitted) -> None:
            heard.append(f"run {job.job_id}")

        def kill(self, job_id: JobId, interrupt: bool, reason: str) -> None:
            heard.append(f"kill {job_id}: {reason}")

    direct = record.direct(cast(DirectRunner, Runner()))
    record.message("DAGScheduler", KILL)
    direct.run(submit_job(3, Lineage((LineageNode(RddId(0), "rdd", 1, (), "app.py:1"),))))
    direct.kill(JobId(3), True, "enough")
    record.finish()
    assert heard == ["run 3", "kill 3: enough"]
    assert entries[0].decisions == 2


def test_a_line_says_what_matters_and_no_payload() -> None:
    ended = task_ended(task_set([5]), 0, map_success(5), task_id=7)
    assert describe(KILL) == "KillTaskSet(stage_id=1, interrupt=True, reason='enough')"
    assert "partition=5" in describe(ended)
    assert "reason=Success" in describe(ended)
    assert describe(task_set([1, 2])) != describe(task_set([1, 3]))
    assert describe(ReviveOffers()) == "ReviveOffers()"
    assert BinaryId(0) == task_set([1]).binary_id


def test_without_the_setting_nothing_is_wrapped() -> None:
    world, ref = SteppedWorld(), RecordingRef()
    silent = recorder_for(SparkConf(environment={}), world, SteppedScope("test"), 4, [])
    assert type(silent) is Unrecorded
    assert silent.world(world) is world
    assert silent.ref(ref) is ref
    silent.message("DAGScheduler", KILL)
    asyncio.run(silent.close())


def test_the_header_holds_the_settings_that_schedulers_read(tmp_path: Path) -> None:
    write_journal(tmp_path / "j", seed=3, app_name="private", task_maxFailures=6)
    header, _ = read_journal(tmp_path / "j")
    assert header.conf == {"minispark.scheduler.mode": "fair", "minispark.task.maxFailures": "6"}
    assert (header.max_failures, header.pools) == (6, [["etl", "fifo", 0, 1, ""]])
