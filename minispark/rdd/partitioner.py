"""Which reducer a key goes to.

Hashes must agree between runner processes: `PYTHONHASHSEED=0` is set for all of them, and `portable_hash` covers the
types whose own hash differs between processes or between equal values. The driver never hashes.
"""

from typing import Any, Protocol

__all__ = ["Partitioner"]


class Partitioner(Protocol):
    """A function from keys to 0 … `num_partitions` − 1. Equal partitioners place equal keys in the same partition."""

    @property
    def num_partitions(self) -> int:
        """How many partitions there are."""

    def partition(self, key: Any) -> int:
        """Return the key's partition."""
