"""The user's line that made an RDD or started a job, for messages and pages. Called once per RDD, so it is cheap."""

import os.path
import sys
from typing import Final

__all__ = ["call_site"]

PACKAGE: Final = os.path.dirname(os.path.dirname(__file__)) + os.sep


def call_site() -> str:
    """Return the nearest calling line outside of minispark, as "app.py:12"; "?" if there is none."""
    frame = sys._getframe(1)
    while frame.f_code.co_filename.startswith(PACKAGE):
        if frame.f_back is None:
            return "?"
        frame = frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
