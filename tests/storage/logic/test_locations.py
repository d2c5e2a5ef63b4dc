from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from minispark.ids import BlockId, ExecutorId
from minispark.storage.logic.locations import BlockHolder, BlockTable
from minispark.testing.builders import location

BLOCK = BlockId("rdd_0_0")


def holder(executor: str, size_bytes: int = 1) -> BlockHolder:
    return BlockHolder(location(executor), f"dir-{executor}/blocks/{BLOCK}", size_bytes)


def test_holders_are_told_in_the_order_in_which_they_came() -> None:
    table = BlockTable()

    table.put(BLOCK, holder("2"))
    table.put(BLOCK, holder("1"))

    assert [place.executor_id for place in table.locations(BLOCK)] == ["2", "1"]


def test_a_second_report_of_one_holder_replaces_the_first() -> None:
    table = BlockTable()
    table.put(BLOCK, holder("1", 10))

    table.put(BLOCK, holder("1", 20))

    assert table.remove_block(BLOCK) == [replace(holder("1"), size_bytes=20)]
    table.assert_empty()


def test_dropping_what_is_not_there_changes_nothing() -> None:
    table = BlockTable()
    table.put(BLOCK, holder("1"))

    table.drop(BLOCK, ExecutorId("2"))
    table.drop(BlockId("other"), ExecutorId("1"))

    assert len(table.locations(BLOCK)) == 1


def test_a_lost_executor_holds_nothing_any_more() -> None:
    table = BlockTable()
    table.put(BLOCK, holder("1"))
    table.put(BLOCK, holder("2"))

    table.remove_executor(ExecutorId("1"))
    table.remove_executor(ExecutorId("never seen"))

    assert [place.executor_id for place in table.locations(BLOCK)] == ["2"]


STEPS = st.tuples(st.sampled_from(["put", "drop", "block", "executor"]), st.sampled_from("ab"), st.sampled_from("12"))


@given(st.lists(STEPS, max_size=20))
def test_both_directions_always_agree(steps: list[tuple[str, str, str]]) -> None:
    table = BlockTable()
    for step, block, executor in steps:
        match step:
            case "put":
                table.put(BlockId(block), holder(executor))
            case "drop":
                table.drop(BlockId(block), ExecutorId(executor))
            case "block":
                table.remove_block(BlockId(block))
            case _:
                table.remove_executor(ExecutorId(executor))
        table.check()
    for executor in "12":
        table.remove_executor(ExecutorId(executor))
    table.assert_empty()
