import asyncio
import gc
import pickle

import pytest

from minispark.errors import ConfigurationError, PicklingError
from minispark.ids import AccumulatorId
from minispark.messages.task import AccumulatorUpdate
from minispark.scheduler.accumulator_table import AccumulatorTable
from minispark.testing.virtual_loop import VirtualWorld, run_virtual, settle


def update(accumulator_id: int, value: object) -> AccumulatorUpdate:
    return AccumulatorUpdate(AccumulatorId(accumulator_id), pickle.dumps(value))


def test_what_counts_is_in_the_value_at_once_and_merged_in_a_later_turn() -> None:
    async def scenario() -> None:
        table = AccumulatorTable(VirtualWorld())
        first = table.create(0, None, "", False)
        second = table.create([""], None, "", False)
        table.count((update(first.accumulator_id, 3), update(second.accumulator_id, ["a"])))
        table.count((update(first.accumulator_id, 4),))

        assert first.value == 7
        assert len(second.pending) == 1
        await settle()
        assert not second.pending
        assert second.total == ["", "a"]
        assert not table.unmerged

    run_virtual(scenario())


@pytest.mark.scenario("ACC-001", "lookup by id fails after GC")
def test_an_accumulator_that_the_program_forgot_takes_nothing() -> None:
    async def scenario() -> None:
        table = AccumulatorTable(VirtualWorld())
        forgotten = table.create(0, None, "", False).accumulator_id
        gc.collect()

        table.count((update(forgotten, 1),))

        assert forgotten not in table.known
        assert not table.unmerged

    run_virtual(scenario())


@pytest.mark.scenario("ACC-001", "double registration refused")
def test_no_two_accumulators_have_an_id_even_in_two_contexts() -> None:
    async def scenario() -> None:
        tables = [AccumulatorTable(VirtualWorld()) for _ in range(2)]
        made = [table.create(0, None, "", False) for table in tables]
        tables[1].count((update(made[0].accumulator_id, 1),))

        assert made[0].accumulator_id != made[1].accumulator_id
        assert [accumulator.value for accumulator in made] == [0, 0]

    run_virtual(scenario())


def test_merging_gives_way_to_the_loop() -> None:
    async def scenario() -> None:
        table = AccumulatorTable(SteppingClock())
        accumulator = table.create(0, None, "", False)
        for _ in range(10):
            table.count((update(accumulator.accumulator_id, 1),))

        await asyncio.sleep(0)
        left = len(accumulator.pending)
        await settle()

        assert 0 < left < 10
        assert accumulator.total == 10

    run_virtual(scenario())


class SteppingClock:
    """Half a slice passes between two looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 0.0005
        return self.now

    def wall(self) -> float:
        return self.now


class OfPySpark:
    """How PySpark has values added up."""

    def zero(self, initial: int) -> int:
        return 0

    def addInPlace(self, value: int, other: int) -> int:  # noqa: N802 — PySpark's name
        return value + other


def test_a_param_that_cannot_add_is_refused_when_the_accumulator_is_made() -> None:
    table = AccumulatorTable(VirtualWorld())
    with pytest.raises(ConfigurationError, match=r"has no add and no merge \(where PySpark has addInPlace\)"):
        table.create(0, OfPySpark(), "", False)  # type: ignore[arg-type]
    assert not table.known


def test_accumulators_of_a_context_that_stopped_do_not_go_to_tasks() -> None:
    table = AccumulatorTable(VirtualWorld())
    made = table.create(3, None, "", False)

    table.close()

    with pytest.raises(PicklingError, match="belongs to a SparkContext that was stopped"):
        pickle.dumps(made)
    assert made.value == 3
