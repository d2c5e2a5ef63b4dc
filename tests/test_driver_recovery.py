"""Map outputs that are lost or damaged between two jobs: the map partition runs again, the answer stays exact."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from minispark.context import SparkContext
from minispark.errors import JobFailed
from minispark.messages.listener import ListenerEvent, StageCompleted
from minispark.rdd.rdd import RDD
from minispark.testing.virtual_loop import VirtualWorld, run_virtual
from tests.contexts import inline_conf, run_inline, session_directory

WORDS = ["to", "be", "or", "not", "to", "be", "that", "is", "the", "question"] * 50


def word_counts(sc: SparkContext) -> RDD[tuple[str, int]]:
    return sc.parallelize(WORDS, 4).map(lambda word: (word, 1)).reduce_by_key(lambda a, b: a + b, 3)


def data_files(sc: SparkContext) -> list[Path]:
    return sorted((session_directory(sc) / "shuffle").glob("*.data"))


def delete(file: Path) -> None:
    file.unlink()


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-5] ^= 0x40
    file.write_bytes(data)


def delete_index(file: Path) -> None:
    file.with_suffix(".index").unlink()


class StageRecorder:
    """Keeps (is a map stage, number of tasks, failed) of every stage attempt that ends."""

    def __init__(self) -> None:
        self.stages: list[tuple[bool, int, bool]] = []

    def on_event(self, event: ListenerEvent) -> None:
        if isinstance(event, StageCompleted):
            self.stages.append((event.stage.is_map_stage, event.stage.num_tasks, bool(event.stage.failure)))


@pytest.mark.scenario("SHF-002")
@pytest.mark.scenario("SHF-006")
@pytest.mark.scenario("SIT-001", "job with fetch failure")
@pytest.mark.parametrize("damage", [delete, truncate, flip, delete_index])
def test_a_damaged_map_output_is_made_again_and_the_answer_stays_exact(damage: Callable[[Path], None]) -> None:
    recorder = StageRecorder()

    async def scenario(sc: SparkContext) -> dict[str, int]:
        counts = word_counts(sc)
        await counts.count()
        sc.add_listener(recorder)
        damage(data_files(sc)[1])
        return dict(await counts.collect())

    assert run_inline(scenario) == Counter(WORDS)
    reruns = [num_tasks for is_map, num_tasks, _ in recorder.stages if is_map]
    assert reruns == [1]  # only the damaged output


def test_all_map_outputs_lost_at_once_are_made_again() -> None:
    async def scenario(sc: SparkContext) -> dict[str, int]:
        counts = word_counts(sc)
        await counts.count()
        for file in data_files(sc):
            delete(file)
        return dict(await counts.collect())

    assert run_inline(scenario, "local[4]") == Counter(WORDS)


def test_a_loss_two_shuffles_up_is_repaired_too() -> None:
    async def scenario(sc: SparkContext) -> list[tuple[int, int]]:
        by_count = word_counts(sc).map(lambda pair: (pair[1], 1)).reduce_by_key(lambda a, b: a + b, 2)
        await by_count.count()
        for file in data_files(sc):
            delete(file)
        return sorted(await by_count.collect())

    expected = sorted(Counter(Counter(WORDS).values()).items())
    assert run_inline(scenario, "local[4]") == expected


def test_an_output_that_is_lost_again_and_again_gives_the_job_up() -> None:
    async def scenario(sc: SparkContext) -> None:
        counts = word_counts(sc)
        await counts.count()
        folder = session_directory(sc) / "shuffle"
        sc.add_listener(Saboteur(folder))
        for file in data_files(sc):
            delete(file)
        with pytest.raises(JobFailed, match=r"4 attempts in a row failed.*could not fetch"):
            await counts.collect()
        assert await sc.parallelize([1, 2]).count() == 2

    run_inline(scenario)


class Saboteur:
    """Deletes all map outputs whenever a map stage has written them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_event(self, event: ListenerEvent) -> None:
        if isinstance(event, StageCompleted) and event.stage.is_map_stage:
            for file in self.folder.glob("*.data"):
                file.unlink()


@pytest.mark.parametrize("event", ["task_finished", "fetched"])
def test_an_error_in_an_event_of_the_executor_fails_the_jobs_instead_of_being_waited_out(event: str) -> None:
    def broken(*args: object) -> None:
        raise LookupError("a bug")

    async def scenario(sc: SparkContext) -> None:
        assert sc.driver.env is not None
        executor = sc.driver.env.dispatcher.find("Executor").endpoint
        part, method = ("slots", "finished") if event == "task_finished" else ("preparation", "arrived")
        setattr(getattr(executor, part), method, broken)
        with pytest.raises(JobFailed, match=f"{event}.*LookupError: a bug"):
            await sc.parallelize([1]).count()

    async def run() -> None:
        async with SparkContext("local[2]", conf=inline_conf(), world=VirtualWorld()) as sc:
            await scenario(sc)

    run_virtual(run())
