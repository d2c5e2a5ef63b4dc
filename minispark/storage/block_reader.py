"""Reading a result that an attempt left in a file, because it was too large to travel with its status.

Blocking: the driver calls it off its loop. The file is mapped, not copied, and its name is removed at once, so that
its memory goes when the last batch does.
"""

import contextlib
import mmap
import os

from minispark.messages.task import DirectResult, IndirectResult

__all__ = ["batches_of", "read_result"]


def read_result(result: IndirectResult) -> DirectResult | None:
    """Return the batches of a result as views of its file, and remove the file.

    None if the file is missing or has another length than was told: the result is lost, and its task must run again.
    """
    try:
        with open(result.path, "rb", buffering=0) as file:
            os.unlink(result.path)
            if not os.fstat(file.fileno()).st_size == sum(result.batch_sizes) == result.size_bytes > 0:
                return None
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(result.path)
        return None
    return batches_of(result, content)


def batches_of(result: IndirectResult, content: memoryview) -> DirectResult | None:
    """Return a result's batches as views of its content; None if that has not the length that was told."""
    if not len(content) == sum(result.batch_sizes) == result.size_bytes:
        return None
    batches = []
    start = 0
    for size in result.batch_sizes:
        batches.append(content[start : start + size])
        start += size
    return DirectResult(result.rows, tuple(batches))
