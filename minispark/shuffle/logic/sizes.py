"""Sizes of map outputs in one byte each, on a logarithmic scale of base 1.1, as in Spark's MapStatus.

0 is an empty block and nothing else; 1 … 255 stand for 1.1, 1.21, … about 35 GB, and larger ones count as that. A
size is rounded up, so it is at most 10 % (and a byte) too large. Called by
the shuffle writer and by the map output table.
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

__all__ = ["decode_size", "decode_sizes", "encode_size", "encode_sizes"]

POWERS: Final = tuple(1.1**code for code in range(256))
DECODED: Final = (0, *(int(power) for power in POWERS[1:]))


def encode_size(size_bytes: int) -> int:
    """Return the code (0–255) of a size; only an empty block has 0."""
    return 0 if size_bytes <= 0 else max(1, min(255, bisect_left(POWERS, size_bytes)))


def encode_sizes(sizes_bytes: Iterable[int]) -> bytes:
    """Return the codes of the blocks of one map output, one byte per reducer."""
    sizes = list(sizes_bytes)
    codes = {size: encode_size(size) for size in set(sizes)}  # of very many small blocks most have the same size
    return bytes(map(codes.__getitem__, sizes))


def decode_size(code: int) -> int:
    """Return about how many bytes a code stands for."""
    return DECODED[code]


def decode_sizes(codes: bytes) -> list[int]:
    """Return about how many bytes each of the codes stands for."""
    return list(map(DECODED.__getitem__, codes))
