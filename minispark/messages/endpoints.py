"""The names of the driver's endpoints, for executors, which cannot import them, and of one that executors have."""

from typing import Final

__all__ = [
    "BARRIER_SYNC",
    "BINARY_SERVER",
    "BLOCK_MANAGER_MASTER",
    "BROADCAST_MASTER",
    "COARSE_GRAINED_SCHEDULER",
    "EXECUTOR_LOG",
    "FILE_MASTER",
    "HEARTBEAT_RECEIVER",
    "LOG_LEVELS",
    "MAP_OUTPUT_TRACKER",
    "OUTPUT_COMMIT_COORDINATOR",
]

BLOCK_MANAGER_MASTER: Final = "BlockManagerMaster"
COARSE_GRAINED_SCHEDULER: Final = "CoarseGrainedScheduler"
HEARTBEAT_RECEIVER: Final = "HeartbeatReceiver"
MAP_OUTPUT_TRACKER: Final = "MapOutputTracker"
BINARY_SERVER: Final = "BinaryServer"
OUTPUT_COMMIT_COORDINATOR: Final = "OutputCommitCoordinator"
BROADCAST_MASTER: Final = "BroadcastMaster"
FILE_MASTER: Final = "FileMaster"
BARRIER_SYNC: Final = "barrierSync"
LOG_LEVELS: Final = "LogLevels"
EXECUTOR_LOG: Final = "ExecutorLog"
