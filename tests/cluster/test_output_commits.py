"""Output files with real runner processes: of two attempts that run at the same time, one commits."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minispark import SparkContext, current_task_context
from minispark.errors import FetchFailedError
from minispark.executor.task_context import TaskContextImpl
from minispark.ids import ShuffleId, TaskId
from minispark.messages.task import FetchFailed
from tests.cluster.test_job_failures import with_context

pytestmark = pytest.mark.cluster


def until_exists(path: Path) -> None:
    """Wait in a task for what another task does."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.005)


@pytest.mark.scenario("HIS-006", "OutputCommitCoordinator")
def test_a_task_of_an_old_attempt_of_the_stage_may_not_overwrite_what_the_new_one_wrote(tmp_path: Path) -> None:
    out, denied = tmp_path / "out", tmp_path / "denied"

    def attempt(index: int, records: Iterator[object]) -> Iterator[str]:
        context = current_task_context()
        assert isinstance(context, TaskContextImpl)
        is_old = context.stage_attempt_number == 0
        if is_old and index == 0:
            until_exists(tmp_path / "running")
            failure = FetchFailed(None, ShuffleId(0), TaskId(-1), -1, 0, "not there")
            error = FetchFailedError(failure, "not there")
            context.fetch_failed(error)
            raise error
        if is_old:  # until the new attempt of the stage has written the same part
            context.add_task_completion_listener(lambda _: denied.touch() if context.commit_denied else None)
            (tmp_path / "running").touch()
            until_exists(out / "part-00001")
        elif index == 0:  # the job goes on until the old task has ended
            until_exists(denied)
        yield f"attempt {context.stage_attempt_number}"

    async def scenario(sc: SparkContext) -> None:
        pairs = sc.parallelize([(0, 0), (1, 1)], 2).group_by_key(2)
        await pairs.map_partitions_with_index(attempt).save_as_text_file(out)

    with_context(scenario, "local[4]")

    assert denied.exists()
    assert sorted(path.name for path in out.iterdir()) == ["_SUCCESS", "part-00000", "part-00001"]
    assert [(out / f"part-0000{number}").read_text() for number in (0, 1)] == ["attempt 1\n"] * 2
