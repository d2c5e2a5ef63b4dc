"""How values of one key become one combined value. Source: Spark's Aggregator."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Aggregator"]

V = TypeVar("V")
C = TypeVar("C")


@dataclass(frozen=True)
class Aggregator(Generic[V, C]):
    """Three functions of the user; each may change and return its first argument.

    Args:
        create_combiner: makes a combined value of a key's first value.
        merge_value: adds one more value to a combined value.
        merge_combiners: merges two combined values.
    """

    create_combiner: Callable[[V], C]
    merge_value: Callable[[C, V], C]
    merge_combiners: Callable[[C, C], C]
