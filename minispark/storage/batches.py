"""Records ↔ bytes: pickles of lists of about a thousand records.

Used wherever records are stored or travel: data of `parallelize`, results, map outputs, cached blocks. Batches follow
each other freely, so that whoever reads them can stop after each. Must not know what the records are for.

Rows (a list of records) are measured against key and value columns on pairs of a word and a number, 1,000 a batch:
rows 90 ns to dump and 104 to load, columns 135 and 85, because taking pairs apart costs more than their tuples do; so
rows here, and columns only where they exist already (`shuffle.pairs`). `Pickler.fast` would halve the dump, but loses
shared references and dies on cycles. `marshal` is out of question: it turns numpy scalars and subclasses of str, int
and bytes into something else without a word.
"""

import pickle
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final, TypeVar

from minispark.errors import PicklingError

__all__ = ["BATCH_BYTES", "BATCH_RECORDS", "dump_batches", "dump_value", "load_batch"]

T = TypeVar("T")

BATCH_RECORDS: Final = 1000
BATCH_BYTES: Final = 256 << 10  # no pickle call in the driver's loop handles more (17 MB at once stall it for 174 ms)
FIRST_RECORDS: Final = 64  # of a generator: its records may be large, and the first batch is taken without knowing
PICKLE_PROTOCOL: Final = 5

CANNOT_PICKLE = (pickle.PicklingError, TypeError, AttributeError, RecursionError)  # what pickle itself raises


def dump_batches(
    records: Iterable[T],
    *,
    max_records: int = BATCH_RECORDS,
    max_bytes: int = BATCH_BYTES,
    fallback: Callable[[Any], bytes] | None = None,
) -> Iterator[bytes]:
    """Pickle records in batches; a batch is larger than `max_bytes` only if it holds a single record.

    References shared by records, and cycles, are kept within a batch.

    Args:
        records: taken lazily, at most `max_records` ahead.
        max_records: the most records of a batch.
        max_bytes: the most bytes of a batch.
        fallback: pickles what the C pickler cannot (`rdd.closures.dumps_value`: functions, local classes).

    Raises:
        PicklingError: a record cannot be pickled.
    """
    count = max_records if isinstance(records, list | tuple) else min(FIRST_RECORDS, max_records)
    iterator = iter(records)
    while batch := list(islice(iterator, count)):
        data = dump_value(batch, fallback)
        if len(data) <= max_bytes:
            yield data
        else:
            yield from split(batch, data, max_bytes, fallback)
        # Half of the bound, so that records a little larger than those seen do not cost a second pickle.
        fitting = len(batch) * (max_bytes // 2) // len(data)
        count = max(1, min(fitting, 8 * count, max_records))


def split(batch: list[Any], data: bytes, max_bytes: int, fallback: Callable[[Any], bytes] | None) -> Iterator[bytes]:
    """Pickle a batch that came out too large again, in parts."""
    if len(data) <= max_bytes or len(batch) == 1:
        yield data
        return
    size = max(1, len(batch) // (len(data) // max_bytes + 1))
    for start in range(0, len(batch), size):
        part = batch[start : start + size]
        yield from split(part, dump_value(part, fallback), max_bytes, fallback)


def dump_value(value: object, fallback: Callable[[Any], bytes] | None = None) -> bytes:
    """Pickle one value with the C pickler, with `fallback` if that cannot.

    Raises:
        PicklingError: the value cannot be pickled; a fallback's own message gives the path to the culprit.
    """
    try:
        return pickle.dumps(value, PICKLE_PROTOCOL)
    except CANNOT_PICKLE as error:
        if fallback is not None:
            return fallback(value)
        raise PicklingError(f"a record cannot be pickled: {error}") from error


def load_batch(data: bytes | bytearray | memoryview) -> list[Any]:
    """Return the records of a batch."""
    records: list[Any] = pickle.loads(data)
    return records
