"""RDD[T]: the fluent face over a node. The methods are in modules by subject; this is where they come together."""

from typing import TypeVar

from minispark.rdd.actions import Actions
from minispark.rdd.barrier import BarrierMethods
from minispark.rdd.caching import CacheMethods
from minispark.rdd.checkpoints import CheckpointMethods
from minispark.rdd.debug_string import DebugMethods
from minispark.rdd.joins import JoinMethods
from minispark.rdd.pair import PairMethods
from minispark.rdd.partition_wise import PartitionWiseMethods
from minispark.rdd.piping import PipeMethods
from minispark.rdd.samplers import SampleMethods
from minispark.rdd.saving import SaveMethods
from minispark.rdd.sets import SetMethods
from minispark.rdd.sorting import SortMethods
from minispark.rdd.statistics import StatisticsMethods
from minispark.rdd.streaming import StreamMethods
from minispark.rdd.transformations import Transformations
from minispark.rdd.trees import TreeMethods

__all__ = ["RDD"]

T_co = TypeVar("T_co", covariant=True)


class RDD(
    Transformations[T_co],
    PairMethods[T_co],
    JoinMethods[T_co],
    SetMethods[T_co],
    PartitionWiseMethods[T_co],
    SortMethods[T_co],
    SampleMethods[T_co],
    Actions[T_co],
    TreeMethods[T_co],
    StatisticsMethods[T_co],
    StreamMethods[T_co],
    BarrierMethods[T_co],
    SaveMethods[T_co],
    CacheMethods[T_co],
    CheckpointMethods[T_co],
    PipeMethods[T_co],
    DebugMethods[T_co],
):
    """A distributed collection of records, computed in partitions when an action asks for them.

    Transformations (`map`, `filter`, `reduce_by_key` …) return a new RDD at once and start nothing; actions
    (`collect`, `count`, `reduce` …) are coroutines that run a job. RDDs are made by a SparkContext or of other RDDs,
    and belong to the driver: they cannot be used inside functions that run in tasks.

    Example:
        >>> words = sc.text_file("notes.txt").flat_map(str.split)
        >>> counts = words.map(lambda word: (word, 1)).reduce_by_key(operator.add)
        >>> await counts.take_ordered(10, key=lambda pair: -pair[1])
    """
