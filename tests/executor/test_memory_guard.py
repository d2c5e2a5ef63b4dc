import asyncio
from collections.abc import Iterator

from minispark.errors import MemoryLimitError
from minispark.executor.memory_guard import INTERVAL_S, MemoryGuard
from minispark.ids import RddId, TaskId
from minispark.testing.virtual_loop import VirtualWorld, run_virtual

MIB = 1 << 20


class House:
    """An executor with one runner, and what it was told."""

    def __init__(self, limit_bytes: int | None = 1000 * MIB) -> None:
        self.holds, self.task_id = 100 * MIB, TaskId(7) if limit_bytes != 0 else None
        self.prepares = False
        self.told: list[object] = []
        self.looks = self.balanced = 0
        self.guard = MemoryGuard(self, VirtualWorld(), lambda: 2000 * MIB, limit_bytes, self)

    def has_attempts(self) -> bool:
        return self.prepares or self.task_id is not None

    def runners(self) -> Iterator[tuple[int, TaskId | None, int]]:
        self.looks += 1
        if self.holds:
            yield 0, self.task_id, self.holds

    def pause(self, pauses: bool) -> None:
        self.told.append(("pause", pauses))

    def replace_runner(self, slot: int) -> None:
        self.told.append(("replace", slot))

    def fail_attempt(self, task_id: TaskId, error: MemoryLimitError) -> None:
        self.told.append(("fail", task_id, str(error)))

    def balance(self) -> None:
        self.balanced += 1

    def stored_bytes(self) -> int:
        return 0

    def live_bytes(self, slot: int) -> int:
        return 0

    def evict(self, size_bytes: int) -> None:
        self.told.append("evict")

    def writes(self, task_id: TaskId) -> list[RddId]:
        return [RddId(4)]

    async def looked(self) -> None:
        self.guard.start()
        await asyncio.sleep(1.5 * INTERVAL_S)


def test_it_watches_while_attempts_run_and_no_longer() -> None:
    async def scenario() -> None:
        house = House()
        house.guard.start()
        await asyncio.sleep(3.5 * INTERVAL_S)
        assert house.looks == house.balanced == 3
        house.task_id = None
        await asyncio.sleep(10 * INTERVAL_S)
        assert house.looks == 4
        assert house.told == []

    run_virtual(scenario())


def test_it_goes_on_watching_while_the_only_attempt_is_prepared() -> None:
    async def scenario() -> None:
        house = House()
        house.task_id, house.prepares = None, True
        house.guard.start()
        await asyncio.sleep(3.5 * INTERVAL_S)
        assert house.told == []
        house.task_id, house.prepares, house.holds = TaskId(7), False, 950 * MIB
        await asyncio.sleep(INTERVAL_S)
        assert house.told == ["evict"]
        house.guard.stop()

    run_virtual(scenario())


def test_attempts_begin_again_when_memory_is_free() -> None:
    async def scenario() -> None:
        house = House()
        house.holds = 1050 * MIB
        await house.looked()
        assert house.told == ["evict", ("pause", True)]
        house.holds = 100 * MIB
        await house.looked()
        assert house.told[-1] == ("pause", False)
        house.guard.stop()

    run_virtual(scenario())


def test_the_error_of_an_attempt_that_fails_names_what_it_computed() -> None:
    async def scenario() -> None:
        house = House()
        house.holds = 1500 * MIB
        await house.looked()
        house.guard.stop()
        text = next(told for told in house.told if isinstance(told, tuple) and told[0] == "fail")[2]
        assert "computed RDD 4" in text
        assert "1452 MiB on an executor that has 1000 MiB" in text

    run_virtual(scenario())


def test_without_a_limit_it_is_what_the_machine_has_to_spare_at_first() -> None:
    async def scenario() -> int | None:
        house = House(None)
        await house.looked()
        house.guard.stop()
        return house.guard.limit_bytes

    assert run_virtual(scenario()) == 2000 * MIB


def test_attempts_begin_again_when_the_only_runner_has_gone() -> None:
    async def scenario() -> None:
        house = House()
        house.holds = 1020 * MIB
        await house.looked()
        house.holds, house.task_id, house.prepares = 0, None, True
        await asyncio.sleep(INTERVAL_S)
        assert [each for each in house.told if isinstance(each, tuple)] == [("pause", True), ("pause", False)]

    run_virtual(scenario())
