"""The settings of storage: memory for persisted partitions and for tasks, and what is checked.

A part of `conf.SparkConf`'s table, in a module of its own because of its size.
"""

from minispark.setting import BYTES, FLAG, FRACTION, INTEGER, TEXT, Setting, fraction, not_negative, positive

__all__ = ["StorageSettings"]


class StorageSettings:
    """What SparkConf has of settings for storage; see there."""

    memory_fraction = Setting(
        "memory.fraction", 0.6, FRACTION,
        "The part of an executor's memory that persisted partitions may take, and work that spills; in local mode, "
        "of the memory that the machine and its control groups have to spare.", fraction,
    )  # fmt: skip
    memory_storage_fraction = Setting(
        "memory.storageFraction", 0.5, FRACTION,
        "The part of that which persisted partitions keep when tasks need memory and there is too little.", fraction,
    )  # fmt: skip
    memory_storage_size = Setting(
        "memory.storageSize", 0, BYTES,
        "The bound of the memory for persisted partitions itself; 0: by minispark.memory.fraction.", not_negative,
    )  # fmt: skip
    storage_check_mutation = Setting(
        "storage.checkMutation", False, FLAG,
        "Whether records that are kept as objects are compared, at the end of each task that read them, with what "
        "they were; a task that changed some fails.",
    )  # fmt: skip
    checkpoint_compress = Setting(
        "checkpoint.compress",
        True,
        FLAG,
        "Whether the files of checkpoints are compressed where that makes them smaller.",
    )
    checkpoint_dir = Setting(
        "checkpoint.dir", "", TEXT, "Where the files of checkpoints go, as if set_checkpoint_dir were called first."
    )
    cleaner_clean_checkpoints = Setting(
        "cleaner.referenceTracking.cleanCheckpoints", False, FLAG,
        "Whether the files of a checkpoint are deleted when nothing refers to its RDD any more.",
    )  # fmt: skip
    memory_task_size = Setting(
        "memory.taskSize", 0, BYTES,
        "About how many bytes the shuffles and sorts of one task may hold before they spill to disk; 0: of the part "
        "that minispark.memory.fraction says, what persisted partitions leave, divided by the tasks that an executor "
        "runs at once.", not_negative,
    )  # fmt: skip
    shuffle_spill_compress = Setting(
        "shuffle.spill.compress", True, FLAG, "Whether lz4 is tried on what tasks spill to disk."
    )
    shuffle_spill_force_threshold = Setting(
        "shuffle.spill.numElementsForceSpillThreshold", 1 << 62, INTEGER,
        "After how many records a task spills whatever memory they take; for tests.", positive,
    )  # fmt: skip
