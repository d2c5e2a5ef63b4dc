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
