"""What ties a runner to the values that are rebuilt in it: how they ask its executor, and how they are let go.

`task_runner` installs the way; apart from what uses it, because every runner loads this, and few use a broadcast.
"""

from collections.abc import Callable, Iterable

from minispark.errors import ContextError
from minispark.ids import BroadcastId
from minispark.messages.runner import RunnerReply, RunnerRequest

__all__ = ["ask_executor", "forget", "forgetters", "install_asker"]

forgetters: list[Callable[[Iterable[BroadcastId]], None]] = []
asker: Callable[[RunnerRequest], RunnerReply] | None = None


def install_asker(ask: Callable[[RunnerRequest], RunnerReply]) -> None:
    """Say how the code of tasks asks the executor; it finds out itself for which task."""
    global asker
    asker = ask


def ask_executor(request: RunnerRequest) -> RunnerReply:
    """Ask the executor of this process, and wait.

    Raises:
        ContextError: this process runs no tasks.
        MiniSparkError: the executor could not answer; the text says why.
    """
    if asker is None:
        raise ContextError(f"{request!r} cannot be asked here: this is neither a task nor the driver that made it")
    return asker(request)


def forget(broadcast_ids: Iterable[BroadcastId]) -> None:
    """Let broadcast values go, if this process has read any."""
    for forgetter in forgetters:
        forgetter(broadcast_ids)
