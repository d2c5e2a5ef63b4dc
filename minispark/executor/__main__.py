"""`python -m minispark.executor …`: an executor process, started by a worker.

The zygote's interpreter is started before anything else: it loads its modules on another core while this process
loads its own. Must not import more than that takes.
"""

import os
import sys
from importlib import import_module

from minispark.errors import MiniSparkError
from minispark.executor.arguments import Arguments
from minispark.executor.phases import Phases
from minispark.executor.zygote_process import ZygoteProcess
from minispark.rpc.world import SystemWorld

__all__ = ["main"]

LAUNCH = "minispark.executor.launch"


def main() -> int:
    """Run an executor; return its exit code."""
    world = SystemWorld()
    phases = Phases(world.monotonic)
    try:
        arguments = Arguments.parse(sys.argv[1:])
        os.set_inheritable(arguments.lifeline, False)
        zygote = ZygoteProcess.spawn(world)
        code: int = import_module(LAUNCH).launch(arguments, zygote, world, phases)
    except (MiniSparkError, OSError) as error:
        sys.stderr.write(f"minispark.executor: {error}\n")
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
