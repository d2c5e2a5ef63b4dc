"""The application's files, as one runner process knows them: before a task starts, those that it needs are in place.

`task_runner` calls it for tasks that say so, which is none as long as no file was added.
"""

from collections.abc import Callable
from typing import Final

from minispark.messages.distribution import FILES_VERSION
from minispark.messages.runner import FilesReady, NeedFiles, RunnerReply, RunnerRequest
from minispark.messages.task import TaskDescription
from minispark.rdd.spark_files import add_import_paths, set_root

__all__ = ["require_files"]

in_place: Final[list[int]] = [
    0
]  # the version that this process knows; versions are numbered through in the driver's process


def require_files(task: TaskDescription, ask: Callable[[RunnerRequest], RunnerReply]) -> None:
    """Have the files that a task needs, and let its modules be imported.

    Raises:
        MiniSparkError: they cannot be had; the text says why.
    """
    version = int(task.properties[FILES_VERSION])
    if version <= in_place[0]:
        return
    answer = ask(NeedFiles(version))
    assert isinstance(answer, FilesReady)
    set_root(answer.directory)
    add_import_paths(answer.import_paths)
    in_place[0] = answer.version
