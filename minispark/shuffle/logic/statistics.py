"""What is known of a shuffle before anything reads it: how much each reducer will find.

The result of a map-stage job: packed by the DAG scheduler, unpacked in the job's caller.
"""

from array import array
from collections.abc import Sequence

from minispark.ids import ShuffleId
from minispark.record import Record, record

__all__ = ["MapOutputStatistics", "pack_sizes", "unpack_sizes"]


@record
class MapOutputStatistics(Record):
    """The sizes of a shuffle's partitions. Source: Spark's MapOutputStatistics.

    Attributes:
        shuffle_id: the shuffle.
        bytes_by_partition: about how many bytes each reducer reads from all map outputs together, to about 5 %.
    """

    shuffle_id: ShuffleId
    bytes_by_partition: tuple[int, ...]


def pack_sizes(sizes: Sequence[int]) -> bytes:
    """Pack sizes, 8 bytes each."""
    return array("q", sizes).tobytes()


def unpack_sizes(data: bytes | bytearray | memoryview) -> tuple[int, ...]:
    """Undo `pack_sizes`."""
    sizes = array("q")
    sizes.frombytes(data)
    return tuple(sizes)
