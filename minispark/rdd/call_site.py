"""The user's line that made an RDD or started a job, for messages and pages. Called once per RDD, so it is cheap."""

import os
import os.path
import sys
from typing import Final

__all__ = ["call_site"]

PACKAGE: Final = os.path.dirname(os.path.dirname(__file__)) + os.sep
NOT_THE_USERS: Final = (PACKAGE, os.path.join(os.path.dirname(os.__file__), "asyncio") + os.sep)


def call_site(otherwise: str = "?") -> str:
    """Return the nearest calling line outside of minispark and asyncio, as "app.py:12".

    Args:
        otherwise: returned if there is none, as in a coroutine that was handed to asyncio as a task of its own.
    """
    frame = sys._getframe(1)
    while frame.f_code.co_filename.startswith(NOT_THE_USERS):
        if frame.f_back is None:
            return otherwise
        frame = frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
