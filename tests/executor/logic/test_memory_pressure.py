from minispark.executor.logic.memory_pressure import BARE_BYTES, Holding, Relief, relieve
from minispark.ids import TaskId

MIB = 1 << 20
LIMIT = 1000 * MIB
PLENTY = 1 << 40


def runner(slot: int, own_mib: int, task: int | None = None, live_mib: int = 0) -> Holding:
    return Holding(slot, None if task is None else TaskId(task), BARE_BYTES + own_mib * MIB, live_mib * MIB)


def test_while_there_is_room_nothing_is_done() -> None:
    assert relieve([runner(0, 400, 1), runner(1, 400)], 0, LIMIT, PLENTY) == Relief(held_bytes=800 * MIB)


def test_a_runner_that_has_done_nothing_holds_nothing() -> None:
    assert relieve([Holding(0, None, 20 * MIB)], 0, LIMIT, PLENTY).held_bytes == 0


def test_first_persisted_partitions_go() -> None:
    assert relieve([runner(0, 400, 1)], 500 * MIB, LIMIT, PLENTY) == Relief(50 * MIB, held_bytes=900 * MIB)


def test_a_runner_at_rest_is_replaced_if_nobody_knows_what_it_holds() -> None:
    holdings = [runner(0, 500), runner(1, 400, live_mib=350), runner(2, 50)]

    assert relieve(holdings, 0, LIMIT, PLENTY).replace == (0,)


def test_then_no_attempts_begin() -> None:
    relief = relieve([runner(0, 500, 1), runner(1, 500, 2)], 0, LIMIT, PLENTY)

    assert (relief.pauses, relief.fail) == (True, None)


def test_at_last_the_attempt_fails_that_holds_most() -> None:
    assert relieve([runner(0, 500, 1), runner(1, 700, 2)], 0, LIMIT, PLENTY).fail == 2


def test_no_attempt_fails_before_runners_at_rest_are_replaced() -> None:
    relief = relieve([runner(0, 500, 1), runner(1, 700)], 0, LIMIT, PLENTY)

    assert (relief.replace, relief.fail) == ((1,), None)


def test_no_attempt_fails_for_what_others_hold() -> None:
    assert relieve([runner(0, 10, 1)], 2 * LIMIT, LIMIT, PLENTY).fail is None
    assert relieve([runner(0, 1200, 1, live_mib=1250)], 0, LIMIT, PLENTY).fail is None


def test_a_machine_that_runs_out_of_memory_counts_like_the_limit() -> None:
    relief = relieve([runner(0, 300, 1)], 0, LIMIT, 90 * MIB)
    assert (relief.pauses, relief.fail, relief.evict_bytes) == (True, None, 6 * MIB)

    assert relieve([runner(0, 300, 1)], 0, LIMIT, 10 * MIB).fail == 1
