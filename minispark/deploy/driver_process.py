"""What a driver's process runs first: it ties the process to the life of its worker, then becomes the program.

A worker that is gone is replaced: the master starts a supervised driver elsewhere, and there must not be two. The
program is anybody's, so it cannot be asked to watch a lifeline; the kernel does it, and what `exec` starts inherits
it. Run by path (`driver_runner`), so that it imports nothing of minispark.

    python -P -S driver_process.py WORKER_PID PROGRAM ARGUMENT…
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

__all__ = ["main"]

PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str]) -> None:
    """Become the program; does not return unless there is none, or the worker is gone."""
    worker_pid, *command = arguments
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(worker_pid):
        sys.exit("the worker is gone")  # it went before it could be watched
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
