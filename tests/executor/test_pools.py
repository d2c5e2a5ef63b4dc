from typing import Any

import pytest

from minispark.executor.inline_pool import InlinePool
from minispark.executor.pools import make_pool
from minispark.executor.process_pool import ProcessPool
from minispark.executor.thread_pool import ThreadPool
from minispark.testing.virtual_loop import VirtualWorld
from tests.executor.attempts import conf, location


@pytest.mark.parametrize(("name", "pool"), [("process", ProcessPool), ("thread", ThreadPool), ("inline", InlinePool)])
def test_the_setting_chooses_the_pool_and_only_processes_get_the_options_of_processes(name: str, pool: type) -> None:
    made = make_pool(3, conf(executor_pool=name), location(), VirtualWorld(), zygote=None, kept=("shuffle",))

    assert isinstance(made, pool)
    assert made.slots == 3


def test_tasks_learn_their_share_of_what_the_executor_has() -> None:
    settings = conf(executor_pool="thread")

    made: Any = make_pool(4, settings, location(), VirtualWorld(), memory_bytes=400 << 20)

    assert made.conf.memory_task_size == 30 << 20
    assert settings.memory_task_size == 0


def test_a_share_that_was_set_counts() -> None:
    made: Any = make_pool(
        4, conf(executor_pool="thread", memory_taskSize=7), location(), VirtualWorld(), memory_bytes=400 << 20
    )

    assert made.conf.memory_task_size == 7
