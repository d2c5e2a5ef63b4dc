"""How much memory records take as objects, from a sample of them. Source: Spark's SizeEstimator.

Called while a persisted partition is computed, a batch at a time, so it must cost little beside pickling. It runs no
user code but `__sizeof__`.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

__all__ = ["estimate_bytes"]

SAMPLED_RECORDS: Final = 8
SAMPLED_ITEMS: Final = 64
MAX_OBJECTS: Final = 2000
POINTER_BYTES: Final = 8
UNKNOWN_BYTES: Final = 64  # of an object that does not tell

ATOMS: Final = frozenset({int, float, str, bytes, bool, type(None), complex})


def estimate_bytes(records: Sequence[Any]) -> int:
    """Return about how many bytes a list of records takes with all that the records refer to.

    What several of the sampled records share is counted once.
    """
    if not records:
        return 0
    sample = records[:: -(-len(records) // SAMPLED_RECORDS)]
    kind = type(sample[0])
    total = sum(map(allocated, map(sys.getsizeof, sample))) if kind in ATOMS else deep_size(sample)
    return len(records) * total // len(sample) + POINTER_BYTES * len(records)


def deep_size(roots: Sequence[Any]) -> int:
    """Return the size of objects with what they refer to; of large containers, by their first items."""
    total = 0.0
    seen: set[int] = set()
    pending: list[tuple[Any, float]] = [(root, 1.0) for root in roots]
    while pending and len(seen) < MAX_OBJECTS:
        value, weight = pending.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        total += weight * own_size(value)
        if type(value) in ATOMS:
            continue
        items = list(items_of(value))
        if items:
            share = weight * max(1.0, count_of(value, items) / len(items))
            pending.extend((item, share) for item in items)
    return int(total)


def allocated(size: int) -> int:
    """Return what is taken for an object of a size: memory comes in multiples of 16 bytes."""
    return -(-size // 16) * 16


def own_size(value: Any) -> int:
    """Return the size of an object without what it refers to."""
    try:
        return allocated(sys.getsizeof(value))
    except Exception:  # noqa: BLE001 — a class of the user's may say anything about its size
        return UNKNOWN_BYTES


def count_of(value: Any, items: list[Any]) -> int:
    """Return how many items a container has, of which some were looked at."""
    if isinstance(value, dict):
        return 2 * len(value)
    return len(value) if isinstance(value, list | tuple | set | frozenset) else len(items)


def items_of(value: Any) -> Iterator[Any]:
    """Yield what an object refers to, the first of many."""
    if isinstance(value, dict):
        for number, (key, item) in enumerate(value.items()):
            if 2 * number >= SAMPLED_ITEMS:
                return
            yield key
            yield item
    elif isinstance(value, list | tuple | set | frozenset):
        for number, item in enumerate(value):
            if number >= SAMPLED_ITEMS:
                return
            yield item
    else:
        yield from attributes_of(value)


def attributes_of(value: Any) -> Iterator[Any]:
    """Yield the attributes of an object, from its dict and its slots."""
    attributes = getattr(value, "__dict__", None)
    if type(attributes) is dict:
        yield attributes
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            descriptor: Any = kind.__dict__.get(name)
            if type(descriptor) is MEMBER:
                try:
                    yield descriptor.__get__(value)
                except AttributeError:
                    continue  # never set


class Slotted:
    """Shows what the descriptor of a slot is."""

    __slots__ = ("slot",)


MEMBER: Final = type(Slotted.__dict__["slot"])
