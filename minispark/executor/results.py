"""From the value of a task to the result that is reported: sent along, left as a file, or dropped if too large.

Called by `task_runner`, inside the user-code bracket: a kill may strike anywhere. An attempt that fails, or that was
killed too late to be interrupted, leaves no file behind: `discard`.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from minispark.conf import SparkConf
from minispark.ids import TaskId, task_result_block_id
from minispark.messages.task import DirectResult, IndirectResult
from minispark.rdd.closures import dumps_value
from minispark.record import Record, record
from minispark.storage.batches import dump_batches

__all__ = ["ResultLimits", "discard", "serialise"]

FRAME_RESERVE: Final = 64 << 10  # of rpc.message.maxSize, for what travels with a result
NOTHING: Final = DirectResult(True, ())


@record
class ResultLimits(Record):
    """From which sizes, in bytes, a result is not sent along (`direct`), and not kept at all (`total`; 0: never)."""

    direct: int
    total: int

    @classmethod
    def of(cls, conf: SparkConf) -> "ResultLimits":
        """Read the limits from the settings; a result is never sent along if no frame could hold it."""
        frame = max(conf.rpc_message_max_size - FRAME_RESERVE, 0)
        return cls(min(conf.task_max_direct_result_size, frame), conf.driver_max_result_size)


def serialise(value: Any, task_id: TaskId, limits: ResultLimits, directory: str) -> DirectResult | IndirectResult:
    """Pickle the value of a task.

    Args:
        value: a list (exactly) is pickled as batches of rows, anything else whole.
        task_id: names the block of a large result.
        limits: what is large.
        directory: the executor's session directory; the block goes into its `blocks`.

    Raises:
        PicklingError: the value cannot be pickled.
    """
    if type(value) is not list:
        data = dumps_value(value)
        if len(data) <= limits.direct:
            return DirectResult(False, (data,))
        return keep(iter((data,)), False, task_id, limits, directory)
    if not value:
        return NOTHING
    batches = dump_batches(value, fallback=dumps_value)
    first: list[bytes] = []
    size = 0
    for data in batches:
        first.append(data)
        size += len(data)
        if size > limits.direct:
            return keep(chained(first, batches), True, task_id, limits, directory)
    return DirectResult(True, tuple(first))


def chained(first: list[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what was made before, letting go of it, and then the rest."""
    first.reverse()
    while first:
        yield first.pop()
    yield from rest


def keep(
    batches: Iterator[bytes], rows: bool, task_id: TaskId, limits: ResultLimits, directory: str
) -> IndirectResult:
    """Write batches to the block's file; once they exceed the bound only their sizes are kept."""
    block_id = task_result_block_id(task_id)
    path = block_path(task_id, directory)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    sizes: list[int] = []
    total = 0
    kept = False
    try:
        with open(path, "wb") as file:
            for data in batches:
                sizes.append(len(data))
                total += len(data)
                if not limits.total or total <= limits.total:
                    file.write(data)
        kept = not limits.total or total <= limits.total
    finally:
        if not kept:  # too large, or the disk is full, or the task was killed
            with suppress(FileNotFoundError):
                os.unlink(path)
    if not kept:
        return IndirectResult(block_id, total, rows, "", ())
    return IndirectResult(block_id, total, rows, path, tuple(sizes))


def discard(task_id: TaskId, directory: str) -> None:
    """Remove what was kept of an attempt that does not succeed after all; nobody was told of it."""
    with suppress(OSError):
        os.unlink(block_path(task_id, directory))


def block_path(task_id: TaskId, directory: str) -> str:
    """Return where the block of a large result is."""
    return os.path.join(directory, "blocks", task_result_block_id(task_id))
