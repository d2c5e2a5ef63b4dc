import asyncio
from pathlib import Path

from minispark.executor.kept_results import RESULT_TTL_S, KeptResults
from minispark.ids import BlockId
from minispark.messages.cluster import StopExecutor
from minispark.messages.task import IndirectResult, Success, TaskMetrics
from minispark.rpc.scope import TaskScope
from minispark.testing.virtual_loop import VirtualWorld, run_virtual, settle
from tests.executor.attempts import task
from tests.executor.executor_house import House, in_house


def result(path: str) -> IndirectResult:
    return IndirectResult(BlockId("taskresult_1"), 1, False, path, (1,))


def test_a_result_that_nobody_fetches_is_removed_in_time(tmp_path: Path) -> None:
    wanted, unwanted = tmp_path / "wanted", tmp_path / "unwanted"

    async def scenario() -> None:
        kept = KeptResults(VirtualWorld(), TaskScope("test"))
        for path in (wanted, unwanted):
            path.write_bytes(b"1")
            kept.keep(result(str(path)))
        await asyncio.sleep(RESULT_TTL_S / 2)
        assert unwanted.exists()

        wanted.unlink()
        await asyncio.sleep(RESULT_TTL_S)
        await settle()
        assert not unwanted.exists()
        assert not kept.timers

    run_virtual(scenario())


def test_a_result_without_a_file_and_results_of_an_executor_that_ends_are_nobodys_concern() -> None:
    async def scenario() -> None:
        kept = KeptResults(VirtualWorld(), TaskScope("test"))
        kept.keep(result(""))
        assert not kept.timers

        kept.keep(result("/nonexistent/result"))
        kept.close()
        assert not kept.timers

    run_virtual(scenario())


def test_an_executor_keeps_the_large_results_that_it_reports_until_it_stops() -> None:
    async def test(house: House) -> None:
        house.executor.slots.launch(task(1).task_id, 0.0)
        house.executor.preparation.launch(task(1), 0.0)
        house.executor.slots.abandon(task(1).task_id)
        house.executor.end(task(1).task_id, Success(result("/nonexistent/result"), TaskMetrics()))
        assert list(house.executor.kept_results.timers) == ["/nonexistent/result"]

        house.tell(StopExecutor())
        await asyncio.sleep(10)
        assert not house.executor.kept_results.timers

    in_house(test)
