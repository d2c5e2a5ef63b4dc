"""The environment and the interpreter of what a worker starts. Called by the runners of executors and drivers."""

import os
import site
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["child_environment", "python_command"]

PACKAGE_PARENT = str(Path(__file__).resolve().parents[2])
OWN_PREFIXES = ("MINISPARK_", "LISTEN_", "WATCHDOG_")
OWN = ("NOTIFY_SOCKET", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONHASHSEED")


def child_environment(environment: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child.

    Args:
        environment: the worker's; what is meant for the worker alone (its settings, the cluster's secret, what
            systemd told it) is left out.
        added: of the application; comes last, but the hash seed is 0 everywhere, so that keys go to the same
            partition whoever computes it.
    """
    made = {
        name: value for name, value in environment.items() if name not in OWN and not name.startswith(OWN_PREFIXES)
    }
    made.update(added)
    made["PYTHONHASHSEED"] = "0"
    if PACKAGE_PARENT not in {str(Path(directory).resolve()) for directory in site.getsitepackages()}:
        rest = made.get("PYTHONPATH")
        made["PYTHONPATH"] = PACKAGE_PARENT + (os.pathsep + rest if rest else "")
    return made


def python_command(python: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that runs an interpreter; empty: the worker's own."""
    return (python or sys.executable, *arguments)
