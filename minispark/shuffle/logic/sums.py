"""How much each reducer finds on each host, kept up to date while map outputs come and go.

`map_outputs` keeps one of these a shuffle: the statistics of a map stage and the preferred places of reducers are
read off it at once, however many outputs there are. The sizes of all reducers are fields of one large integer, 8
bytes each: adding two outputs is one addition, and comparing them one subtraction, instead of a step a reducer.
"""

from array import array
from collections.abc import Iterable
from typing import Final

from minispark.shuffle.logic.sizes import DECODED

__all__ = ["SizeSums"]

FIELD_BYTES: Final = 8
SIGN: Final = b"\0\0\0\0\0\0\0\x80"

PLANES: Final = tuple(bytes(size >> shift & 0xFF for size in DECODED) for shift in range(0, 40, 8))
"""Byte n of the size that a code stands for, by code; the largest size has five bytes."""


class SizeSums:
    """The sums of one shuffle's output sizes, by host and reducer.

    Args:
        num_reducers: how many sizes each output has.
        by_host: whether hosts are told apart; without, only `totals` has a meaning, and memory is the same for any
            number of hosts.
    """

    def __init__(self, num_reducers: int, *, by_host: bool) -> None:
        self.num_reducers = num_reducers
        self.by_host = by_host
        self.sums: dict[str, int] = {}
        self.largest: dict[float, list[list[str]]] = {}

    def add(self, host: str, codes: bytes) -> None:
        """Count an output in."""
        key = host if self.by_host else ""
        self.sums[key] = self.sums.get(key, 0) + widen(codes)
        self.largest.clear()

    def subtract(self, host: str, codes: bytes) -> None:
        """Count an output out that was counted in."""
        self.sums[host if self.by_host else ""] -= widen(codes)
        self.largest.clear()

    def clear(self) -> None:
        """Count all outputs out."""
        self.sums.clear()
        self.largest.clear()

    def totals(self) -> list[int]:
        """Return about how many bytes each reducer finds on all hosts together."""
        return narrow(sum(self.sums.values()), self.num_reducers).tolist()

    def largest_hosts(self, reducer: int, fraction: float) -> tuple[str, ...]:
        """Return the hosts that hold at least this fraction of a reducer's bytes, in the order they came.

        The first question after a change answers it for all reducers.
        """
        if fraction not in self.largest:
            self.largest[fraction] = self.find_largest(fraction)
        return tuple(self.largest[fraction][reducer])

    def find_largest(self, fraction: float) -> list[list[str]]:
        """Return each reducer's hosts with at least this fraction of its bytes."""
        found: list[list[str]] = [[] for _ in range(self.num_reducers)]
        floors = array("Q", [max(1, -int(-total * fraction // 1)) for total in self.totals()])
        floor = int.from_bytes(floors.tobytes(), "little")
        signs = int.from_bytes(SIGN * self.num_reducers, "little")
        for host, sizes in self.sums.items():
            # Of a field that is at least its floor the sign bit is still there after the subtraction. No field
            # borrows from the next one, because sums are far below 2**63.
            enough = ((sizes | signs) - floor) & signs
            if enough:
                for reducer in marked(narrow(enough, self.num_reducers)):
                    found[reducer].append(host)
        return found


def widen(codes: bytes) -> int:
    """Return the sizes that codes stand for, as fields of one integer."""
    fields = bytearray(FIELD_BYTES * len(codes))
    for position, plane in enumerate(PLANES):
        fields[position::FIELD_BYTES] = codes.translate(plane)
    return int.from_bytes(fields, "little")


def narrow(fields: int, count: int) -> "array[int]":
    """Return the fields of an integer as numbers."""
    return array("Q", fields.to_bytes(FIELD_BYTES * count, "little"))


def marked(fields: Iterable[int]) -> list[int]:
    """Return the positions of the fields that are not 0."""
    return [position for position, field in enumerate(fields) if field]
