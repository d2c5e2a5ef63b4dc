"""Records that wait to be read."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from minispark.shuffle.task_memory import Account, TaskMemory
from minispark.shuffle.waiting import hand_out
from tests.shuffle.outputs import session, task_memory


@pytest.fixture
def memory(tmp_path: Path) -> TaskMemory:
    return task_memory(session(tmp_path), share_bytes=1000)


def waiting(memory: TaskMemory, size_bytes: int, **options: Any) -> tuple[Account, Iterator[int]]:
    account = memory.open()
    account.size_bytes = size_bytes
    return account, chain.from_iterable(hand_out(memory, account, iter(range(5000)), **options))


def test_a_few_records_wait_as_they_are(memory: TaskMemory) -> None:
    account, records = waiting(memory, 100)

    assert next(records) == 0
    assert account.free is None
    assert list(records) == list(range(1, 5000))
    assert memory.accounts == []


@pytest.mark.parametrize("taken", [1, 1000, 1500, 5000])
def test_records_that_are_spilled_come_in_the_same_order(memory: TaskMemory, taken: int) -> None:
    account, records = waiting(memory, 900)
    before = [next(records) for _ in range(taken)]

    assert account.free is not None
    account.free()
    account.free()

    assert before + list(records) == list(range(5000))
    assert memory.accounts == []


def test_what_cannot_be_written_to_disk_stays(memory: TaskMemory) -> None:
    account, records = waiting(memory, 900, can_wait=False)

    assert next(records) == 0
    assert account.free is None
