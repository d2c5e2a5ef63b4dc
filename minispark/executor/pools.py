"""Which pool of runners a setting names. Used by the composition roots of local mode and of executor processes."""

import copy
from importlib import import_module
from typing import Any, Final

from minispark.conf import SparkConf
from minispark.executor.runners import RunnerPool
from minispark.messages.task import BlockManagerId
from minispark.rpc.world import World
from minispark.storage.memory_bound import available_memory, task_share

__all__ = ["make_pool"]

POOLS: Final = {
    "process": ("minispark.executor.process_pool", "ProcessPool"),
    "thread": ("minispark.executor.thread_pool", "ThreadPool"),
    "inline": ("minispark.executor.inline_pool", "InlinePool"),
}


def make_pool(
    slots: int,
    conf: SparkConf,
    location: BlockManagerId,
    world: World,
    *,
    memory_bytes: int | None = None,
    **options: Any,
) -> RunnerPool:
    """Return a pool as `minispark.executor.pool` says; options are those of `ProcessPool`, and only it gets them.

    `memory_bytes` is what the executor has for storage and tasks; None: what the machine has to spare.
    """
    # Loaded by mode: what runs tasks in this process is half of the package, and most programs never need it.
    module, name = POOLS[conf.executor_pool]
    chosen = options if conf.executor_pool == "process" else {}
    if conf.executor_pool != "inline" and not conf.memory_task_size:  # which must not depend on the machine
        available = available_memory() if memory_bytes is None else memory_bytes
        share = task_share(available, conf.memory_fraction, conf.memory_storage_fraction, slots)
        conf = copy.copy(conf)
        conf.texts = conf.texts | {"minispark.memory.taskSize": str(share)}
    pool: RunnerPool = getattr(import_module(module), name)(slots, conf, location, world, **chosen)
    return pool
