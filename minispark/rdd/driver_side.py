"""Where in the driver user code failed: a note on its exception, as the failures of tasks have one.

Actions and preparations put what they do with a job's results under `DriverSide`.
"""

from contextlib import suppress
from types import TracebackType
from typing import Any, Final

from minispark.errors import MiniSparkError
from minispark.rdd.node import Node

__all__ = ["DriverSide"]

HERE: Final = "in the driver, "
SAID: Final = (HERE, "in stage ")  # how notes begin that say where already; tasks' failures have the latter


class DriverSide:
    """Adds to an exception that the user's code raised which action it was in, and on which RDD.

    Errors of minispark's own say what they are about. Those of tasks are left alone.

    Args:
        action: the method.
        node: the RDD.
    """

    def __init__(self, action: str, node: Node[Any]) -> None:
        self.action = action
        self.node = node

    def __enter__(self) -> None:
        """Nothing is needed before."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Add the note if there is something to say."""
        if not isinstance(error, Exception) or isinstance(error, MiniSparkError):
            return
        notes = getattr(error, "__notes__", ())
        if any(isinstance(note, str) and note.startswith(SAID) for note in notes):
            return
        with suppress(Exception):  # a user's class may refuse notes
            error.add_note(f"{HERE}for {self.action}() of the RDD from {self.node.name} at {self.node.call_site}")
