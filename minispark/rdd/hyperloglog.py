"""HyperLogLog: about how many different records there are, in memory that does not grow with them.

Made by tasks and merged in the driver (`RDD.count_approx_distinct`). A hash of 64 bits says which register a record
belongs to and how rare it is; each register keeps the rarest. As in HyperLogLog++ (Heule, Nunkesser and Hall 2013),
few registers are kept as a dict. The number is found by Ertl's estimator (2017), which needs no tables of corrections
and holds from nothing to 2^60.
"""

import math
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final, Self

from minispark.errors import ConfigurationError
from minispark.rdd.partitioner import own_hash_is_portable, portable_hash

__all__ = ["HyperLogLog", "precision_for"]

MASK: Final = (1 << 64) - 1
LEAST_PRECISION: Final = 4
LEAST_SD: Final = 0.000017
BATCH: Final = 1000
SPARSE_SHARE: Final = 8  # a register of a dict takes 100 bytes, and one is enough for so many of a bytearray


class HyperLogLog:
    """A sketch of a set.

    Args:
        precision: there are 2 to the power of it registers.
    """

    __slots__ = ("dense", "precision", "sparse")

    def __init__(self, precision: int) -> None:
        self.precision = precision
        self.sparse: dict[int, int] = {}
        self.dense: bytearray | None = None

    def add_all(self, records: Iterable[Any]) -> Self:
        """Put records in.

        Raises:
            KeyHashError: one has no hash on which all processes agree.
        """
        records = iter(records)
        while batch := list(islice(records, BATCH)):
            self.add_hashes(set(map(hash if own_hash_is_portable(batch) else portable_hash, batch)))
        return self

    def add_hashes(self, hashes: Iterable[int]) -> None:
        """Put records in by their hashes."""
        rest_bits = 64 - self.precision
        rest_mask = (1 << rest_bits) - 1
        registers: Any = self.sparse if self.dense is None else self.dense
        known = self.known
        for value in hashes:
            mixed = mix(value)
            place = mixed >> rest_bits
            rank = rest_bits - (mixed & rest_mask).bit_length() + 1
            if known(place) < rank:
                registers[place] = rank
        self.settle()

    def known(self, place: int) -> int:
        """Return what a register keeps."""
        return self.sparse.get(place, 0) if self.dense is None else self.dense[place]

    def settle(self) -> None:
        """Keep the registers in an array once there are many."""
        if self.dense is None and len(self.sparse) * SPARSE_SHARE > 1 << self.precision:
            self.dense = bytearray(1 << self.precision)
            for place, rank in self.sparse.items():
                self.dense[place] = rank
            self.sparse = {}

    def merge(self, other: "HyperLogLog") -> Self:
        """Put all of another sketch of the same precision in."""
        assert self.precision == other.precision
        if other.dense is None:
            for place, rank in other.sparse.items():
                if self.known(place) < rank:
                    registers: Any = self.sparse if self.dense is None else self.dense
                    registers[place] = rank
        elif self.dense is None:
            mine, self.dense, self.sparse = self.sparse, bytearray(other.dense), {}
            for place, rank in mine.items():
                self.dense[place] = max(self.dense[place], rank)
        else:
            self.dense = bytearray(map(max, self.dense, other.dense))
        self.settle()
        return self

    def estimate(self) -> float:
        """Return about how many different records were put in."""
        size = 1 << self.precision
        numbers = Counter(self.sparse.values() if self.dense is None else self.dense)
        empty = size - len(self.sparse) if self.dense is None else numbers[0]
        full = 64 - self.precision + 1
        total = size * tau(1 - numbers[full] / size)
        for rank in range(full - 1, 0, -1):
            total = (total + numbers[rank]) / 2
        total += size * sigma(empty / size)
        return size * size / (2 * math.log(2) * total)


def precision_for(relative_sd: float) -> int:
    """Return the precision that gives a relative standard deviation.

    Raises:
        ConfigurationError: it is not above 0.000017, or not a number.
    """
    if not LEAST_SD < relative_sd < math.inf:
        raise ConfigurationError(f"relative_sd is a number above {LEAST_SD:f}, not {relative_sd!r}")
    return max(LEAST_PRECISION, math.ceil(2 * math.log2(1.106 / relative_sd)))


def mix(value: int) -> int:
    """Return 64 bits that all depend on all bits of a hash; the hash of a small int is the int itself."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & MASK
    return value ^ (value >> 31)


def sigma(share: float) -> float:
    """Return what empty registers contribute; see Ertl, "New cardinality estimation algorithms", section 4."""
    if share == 1:
        return math.inf
    factor, total = 1.0, share
    while True:
        share *= share
        before = total
        total += share * factor
        factor += factor
        if total == before:
            return total


def tau(share: float) -> float:
    """Return what full registers contribute; see `sigma`."""
    if share in (0, 1):
        return 0.0
    factor, total = 1.0, 1 - share
    while True:
        share = math.sqrt(share)
        before = total
        factor /= 2
        total -= (1 - share) ** 2 * factor
        if total == before:
            return total / 3
