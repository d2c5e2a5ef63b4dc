"""The exception tree: who is at fault is the type.

Everything minispark raises derives from `MiniSparkError`. Failures that the scheduler acts on travel as values
(`messages.task.TaskEndReason`) and become one of these exceptions only when they reach the caller.
"""

__all__ = [
    "ConfigurationError",
    "ContextError",
    "ExecutorLost",
    "FetchFailedError",
    "InputDamaged",
    "InputNotFound",
    "JobCancelled",
    "JobFailed",
    "JournalError",
    "KeyHashError",
    "LeadershipLost",
    "MapOutputMissing",
    "MemoryLimitError",
    "MiniSparkError",
    "OutboxOverflow",
    "OutputExists",
    "PeerRefused",
    "PicklingError",
    "ProtocolError",
    "RecordsChanged",
    "RecoveryStateError",
    "ResultTooLarge",
    "RpcAddressError",
    "RpcEndpointNotFound",
    "RpcEnvStopped",
    "RpcError",
    "RpcFileNotFound",
    "RpcTimeout",
    "StorageError",
    "TaskKilled",
    "TaskListenerError",
    "UserCodeError",
]


class MiniSparkError(Exception):
    """The root of every exception that minispark raises itself."""


class ConfigurationError(MiniSparkError, ValueError):
    """A setting, master URL or argument is wrong; the message names it and says what would be right."""


class ContextError(MiniSparkError, RuntimeError):
    """A SparkContext is used in a way it cannot be: stopped, from another loop, created twice, inside a task."""


class PicklingError(MiniSparkError, TypeError):
    """A closure, record or result cannot be pickled; the message gives the path to the culprit."""


class InputNotFound(ConfigurationError, FileNotFoundError):
    """There is nothing to read at a path; the message names it."""


class InputDamaged(MiniSparkError, OSError):
    """A compressed file is cut off, or is not in the format that its name says; the message names it."""


class OutputExists(ConfigurationError, FileExistsError):
    """There is something where output is to go; the message names the path."""


class RecordsChanged(MiniSparkError):
    """A function changed records of a persisted RDD in place; the message names the RDD."""


class KeyHashError(MiniSparkError, TypeError):
    """A key cannot be placed in a partition: it has no hash on which all processes agree."""


class UserCodeError(MiniSparkError):
    """User code failed in a task with an exception that could not travel; type name and traceback are in the text."""


class TaskListenerError(UserCodeError):
    """Listeners of a task context failed; the text holds what each raised, and how the task itself had failed."""


class RecoveryStateError(MiniSparkError):
    """What a master keeps on disk cannot be used; the message names the file and what to do."""


class LeadershipLost(MiniSparkError):
    """Another master leads now, or none may for a while; the message says why this one does not."""


class JournalError(MiniSparkError):
    """A scheduler's journal cannot be read or replayed; the message names the file and what is wrong with it."""


class JobFailed(MiniSparkError):
    """A job was given up for a reason that is not an exception of the user's code."""


class JobCancelled(MiniSparkError):
    """A job ended because it was cancelled (by its caller, its group, or the context's stop)."""


class ResultTooLarge(JobFailed):
    """The results of a job exceed `minispark.driver.maxResultSize`."""


class ExecutorLost(JobFailed):
    """An executor or a runner process went away while it ran a task."""


class BarrierError(MiniSparkError):
    """The tasks of a barrier stage could not wait for each other; the message says which did not come, or why."""


class CommitDenied(MiniSparkError):
    """Another attempt of the task puts its output in place; this one ends as if it had been killed."""


class TaskKilled(BaseException):
    """Raised inside user code when its task is killed.

    It derives from BaseException so that `except Exception` in user code does not swallow it.
    """


class MemoryLimitError(MiniSparkError, MemoryError):
    """A task held more memory than its executor, or its machine, can give; the message names what it computed."""


class MapOutputMissing(MiniSparkError):
    """The locations of a shuffle's map outputs are not all known."""


class StorageError(MiniSparkError, OSError):
    """A file of minispark's own cannot be written (disk full, directory gone); the message names it and a way out."""


class FetchFailedError(MiniSparkError):
    """A reduce task could not read a map output; the scheduler reruns the map task.

    Attributes:
        failure: the `messages.task.FetchFailed` value that is reported to the driver.
    """

    def __init__(self, failure: object, message: str) -> None:
        super().__init__(message)
        self.failure = failure


class RpcError(MiniSparkError):
    """Something between two endpoints went wrong."""


class RpcAddressError(RpcError, ValueError):
    """A text is not an RPC address; the message shows the forms that are."""


class PeerRefused(RpcError):
    """Nobody listens at an address: the process that did is gone."""


class RpcTimeout(RpcError, TimeoutError):
    """A reply did not come in time; the message names endpoint, address, message and the setting that controls it."""


class RpcEndpointNotFound(RpcError, LookupError):
    """No endpoint of that name is registered at that address."""


class RpcFileNotFound(RpcError, FileNotFoundError):
    """A file server does not serve that file."""


class RpcEnvStopped(RpcError):
    """The RpcEnv was shut down."""


class OutboxOverflow(RpcError):
    """A peer does not read: its outbox grew over the bound and the peer was given up."""


class ProtocolError(RpcError):
    """A peer sent bytes or messages that break the protocol; the message says which rule."""
