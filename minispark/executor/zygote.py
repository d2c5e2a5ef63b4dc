"""The zygote: the process that runners are forked from. Exec'd once per executor by `zygote_client`.

This module is only its beginning. The first packet on the control socket says where modules are found; until then
nothing but the standard library's core is imported, and garbage collection is off, so that all that is imported
before the first fork stays in pages that the runners share. The rest is `nursery`.
"""

import gc
import importlib
import os
import signal
import socket
import sys
import types

__all__ = ["COLLECTION_THRESHOLDS", "CONTROL_PACKET_SIZE", "main"]

CONTROL_PACKET_SIZE = 128 * 1024
# The last is 10 by default, with which a dict that grows is looked through five times as often.
COLLECTION_THRESHOLDS = (700, 10, 50)
NURSERY = "minispark.executor.nursery"


def main() -> None:
    """Run as a zygote; the only argument is the descriptor of the control socket."""
    gc.disable()
    gc.set_threshold(*COLLECTION_THRESHOLDS)  # of the runners, which turn it on
    # The terminal, a job manager or a shell may signal the whole process tree. The zygote goes when its executor
    # does, or it could not clean up after it; what runs in runners has the default handlers again.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(ignored, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    with socket.socket(fileno=int(sys.argv[1])) as control:
        place = control.recv(CONTROL_PACKET_SIZE)
        if not place:
            return
        directory, *path = map(os.fsdecode, place.split(b"\0"))
        os.chdir(directory)
        sys.path[:] = path
        # User code that looks at __main__ must not find the zygote there.
        sys.modules["__main__"] = types.ModuleType("__main__")
        importlib.import_module(NURSERY).run(control)


if __name__ == "__main__":
    main()
