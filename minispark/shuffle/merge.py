"""Combining the values of a key in a dict: before a map output is written, and when a reducer reads.

The loops are the aggregator's own, so that per record there is no call but the user's functions. What these raise
passes through as it is; only a key or a record that cannot be combined at all is explained. What is combined when it
does not fit into memory is `external_combine`'s business.
"""

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, TypeVar

from minispark.rdd import aggregator as loops

__all__ = ["NO_PAIRS", "combine_into"]

K = TypeVar("K")
C = TypeVar("C")

NO_PAIRS = "the records of a shuffle are (key, value) pairs"
NOT_A_PAIR = ("unpack", "dictionary update sequence")  # in what Python says of a record that is none


def combine_into(
    loop: Callable[[Any, dict[K, C]], None], records: Iterable[tuple[K, Any]], combined: dict[K, C]
) -> None:
    """Run a loop of an aggregator, keys in the order in which they come first.

    Raises:
        TypeError: a key cannot be hashed, or a record is no pair.
    """
    try:
        loop(records, combined)
    except (TypeError, ValueError) as error:
        if raised_in_loop(error.__traceback__):
            text = str(error)
            if "unhashable type" in text:
                raise TypeError(
                    f"a key must be hashable: {text}; use a tuple for a list, a frozenset for a set"
                ) from error
            if any(phrase in text for phrase in NOT_A_PAIR):
                raise TypeError(f"{NO_PAIRS}: {text}") from error
        raise


def raised_in_loop(traceback: TracebackType | None) -> bool:
    """Tell whether the aggregator's own code raised, and not the user's functions or the parent's records."""
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_code.co_filename == loops.__file__
