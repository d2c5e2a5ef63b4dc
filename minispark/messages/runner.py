"""Executor ↔ runner process ↔ zygote. Tags 80–119.

The runner trusts nothing but the socket pair it inherited. Every message names the runner's incarnation (a number
that no two runner processes of an executor share) and, where a task is concerned, its attempt (the task id), so that
a late word of or to a dead attempt is recognised and dropped.
"""

from minispark.ids import BinaryId, BroadcastId, ShuffleId, TaskId
from minispark.messages.coordination import AskPermissionToCommit, BarrierSynced, PermissionToCommit, RequestToSync
from minispark.messages.fetching import FetchedBlocks, FetchOpened, NextFetched, OpenFetch
from minispark.messages.runner_blocks import BlockPlan, BlockRequest, DropLiveBlocks
from minispark.messages.task import BlockManagerId, TaskDescription, TaskOutcome
from minispark.rpc.message import Ask, Attachment, Message, message

__all__ = [
    "AnswerFailed",
    "Binary",
    "BroadcastFile",
    "FilesReady",
    "ForgetBroadcasts",
    "ForkRunner",
    "FromRunner",
    "FromZygote",
    "KillAnswered",
    "KillAttempt",
    "KillRunner",
    "MapOutputs",
    "NeedBinary",
    "NeedBroadcast",
    "NeedClass",
    "NeedFiles",
    "NeedMapOutputs",
    "RunTask",
    "RunnerAnswer",
    "RunnerAsk",
    "RunnerExited",
    "RunnerForked",
    "RunnerReady",
    "RunnerReply",
    "RunnerRequest",
    "StartZygote",
    "TaskFinished",
    "ToRunner",
    "ToZygote",
    "ZygoteFailed",
    "ZygoteReady",
]


@message(80)
class RunTask(Message):
    """Executor → runner: run this attempt."""

    incarnation: int
    task: TaskDescription


@message(81)
class TaskFinished(Message):
    """Runner → executor: the attempt ended; nothing of it runs any more."""

    incarnation: int
    task_id: TaskId
    outcome: TaskOutcome


@message(82)
class KillAttempt(Message):
    """Executor → runner, on the control pipe, followed by a signal: end this attempt if it is the one that runs."""

    incarnation: int
    task_id: TaskId
    interrupt: bool
    reason: str


@message(83)
class RunnerReady(Message):
    """Runner → executor: forked, reset and waiting for tasks."""

    incarnation: int
    pid: int


@message(84)
class Binary(Message):
    """Executor → runner: the content of a binary; of a large one, which broadcast it is (`data` is empty then)."""

    data: Attachment
    broadcast_id: BroadcastId | None = None


@message(85)
class NeedBinary(Ask[Binary]):
    """Runner → executor: I have not seen this binary (or dropped it)."""

    binary_id: BinaryId


@message(86)
class MapOutputs(Message):
    """Executor → runner: the map statuses of a shuffle, as `shuffle.logic.map_outputs` packs them.

    Of large ones, which broadcast they are (`data` is empty then).
    """

    epoch: int
    data: Attachment
    broadcast_id: BroadcastId | None = None


@message(87)
class NeedMapOutputs(Ask[MapOutputs]):
    """Runner → executor: where are that shuffle's map outputs, as of this epoch or later?"""

    shuffle_id: ShuffleId
    epoch: int


@message(88)
class NeedClass(Ask[Binary]):
    """Runner → executor → driver: define this class of the driver's `__main__`; `data` is made by `rdd.closures`."""

    qualified_name: str


@message(113)
class BroadcastFile(Message):
    """Executor → runner: the file of a broadcast, as `storage.broadcast_file` writes it; to be mapped."""

    path: str


@message(114)
class NeedBroadcast(Ask[BroadcastFile]):
    """Runner → executor: where is the value of that broadcast?"""

    broadcast_id: BroadcastId


@message(115)
class ForgetBroadcasts(Message):
    """Executor → runner, at any time: let go of these values; who needs one again asks for it."""

    broadcast_ids: tuple[BroadcastId, ...]


@message(116)
class FilesReady(Message):
    """Executor → runner: the application's files are in `directory`; modules are found at `import_paths`."""

    version: int
    directory: str
    import_paths: tuple[str, ...]


@message(117)
class NeedFiles(Ask[FilesReady]):
    """Runner → executor: have the files of that version, or of a later one, in their place."""

    version: int


RunnerRequest = (
    NeedBinary
    | NeedMapOutputs
    | NeedClass
    | RequestToSync
    | AskPermissionToCommit
    | NeedBroadcast
    | NeedFiles
    | OpenFetch
    | NextFetched
    | BlockRequest
)
RunnerReply = (
    Binary
    | MapOutputs
    | BarrierSynced
    | PermissionToCommit
    | BroadcastFile
    | FilesReady
    | FetchOpened
    | FetchedBlocks
    | BlockPlan
)


@message(90)
class RunnerAsk(Message):
    """Runner → executor: a request whose answer the runner waits for, on behalf of an attempt."""

    incarnation: int
    task_id: TaskId
    ask_id: int
    request: RunnerRequest


@message(91)
class AnswerFailed(Message):
    """The executor could not answer; the attempt fails with this text."""

    error: str


@message(92)
class RunnerAnswer(Message):
    """Executor → runner: the answer to an ask."""

    incarnation: int
    ask_id: int
    answer: RunnerReply | AnswerFailed


@message(93)
class KillAnswered(Message):
    """Runner → executor, on the control socket: the kill of that attempt was taken note of and does nothing more."""

    incarnation: int
    task_id: TaskId


@message(100)
class ZygoteReady(Message):
    """Zygote → executor: modules are imported, forks can be asked for."""

    pid: int


@message(101)
class ForkRunner(Message):
    """Executor → zygote, with the descriptors of conversation, control and page as ancillary data: fork a runner."""

    incarnation: int


@message(102)
class RunnerForked(Message):
    """Zygote → executor: that runner has this process id."""

    incarnation: int
    pid: int


@message(103)
class KillRunner(Message):
    """Executor → zygote: send this signal to the runner; SIGKILL goes to its whole process group."""

    incarnation: int
    signal: int


@message(104)
class RunnerExited(Message):
    """Zygote → executor: a runner is gone, from waitpid.

    `exit_code` is None if a signal ended it; `signal` is 0 if it exited; `text` is what faulthandler wrote. Both are
    "nothing" for a runner that could not be forked; `text` says why.
    """

    incarnation: int
    exit_code: int | None
    signal: int
    text: str


@message(105)
class StartZygote(Message):
    """Executor → zygote, after sys.path and the working directory: what to import, and who its runners work for.

    `environment` are variables to set before anything is imported; `unset` those to remove. `runner_factory` is
    `module:function`, called in each runner with its services for the object that runs tasks. `directory` is the
    session directory that the zygote removes at the end (empty: none), but for the entries that are `kept`.
    `sys_path` and `working_directory` replace those of the executor, which the zygote has had; empty: they do not.
    """

    environment: dict[str, str]
    unset: tuple[str, ...]
    preload: tuple[str, ...]
    runner_factory: str
    conf: dict[str, str]
    location: BlockManagerId
    directory: str
    sys_path: tuple[str, ...] = ()
    working_directory: str = ""
    kept: tuple[str, ...] = ()


@message(106)
class ZygoteFailed(Message):
    """Zygote → executor: it cannot start, and this is why."""

    error: str


ToRunner = RunTask | RunnerAnswer | ForgetBroadcasts | DropLiveBlocks
FromRunner = RunnerReady | RunnerAsk | TaskFinished
ToZygote = StartZygote | ForkRunner | KillRunner
FromZygote = ZygoteReady | ZygoteFailed | RunnerForked | RunnerExited
