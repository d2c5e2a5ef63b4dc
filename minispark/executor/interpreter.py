"""How to start another interpreter like this one: its flags, and the environment that makes hashes agree.

Called by `zygote_client`. The hash seed is 0 in every zygote of an application, so that a key goes to the same
partition whoever computes it; flags that would make the interpreter ignore the seed are told in other words.
"""

import os
import site
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["child_environment", "interpreter_command", "restored_environment"]

FLAGS = {
    "debug": "d",
    "dont_write_bytecode": "B",
    "no_site": "S",
    "no_user_site": "s",
    "verbose": "v",
    "bytes_warning": "b",
    "quiet": "q",
    "optimize": "O",
}
PACKAGE_PARENT = str(Path(__file__).resolve().parents[2])


def interpreter_command(module: str) -> list[str]:
    """Return the command that runs a module with this interpreter and its flags.

    -E and -I are left out, because they would hide PYTHONHASHSEED; `child_environment` does their work.
    """
    command = [sys.executable, "-P"]
    for name, letter in FLAGS.items():
        count = getattr(sys.flags, name)
        if count > 0:
            command.append("-" + letter * count)
    command += [f"-W{option}" for option in sys.warnoptions]
    for name, value in sys._xoptions.items():
        command += ["-X", name if value is True else f"{name}={value}"]
    return [*command, "-m", module]


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment to start a zygote with: the given one, hash seed 0, and minispark to be found."""
    ignored = bool(sys.flags.ignore_environment)
    made = {name: value for name, value in environment.items() if not (ignored and name.startswith("PYTHON"))}
    made["PYTHONHASHSEED"] = "0"
    if not is_installed():
        rest = made.get("PYTHONPATH")
        made["PYTHONPATH"] = PACKAGE_PARENT + (os.pathsep + rest if rest else "")
    return made


def restored_environment(environment: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return what a zygote sets, and removes, once it runs, so that tasks see the executor's variables again."""
    started = child_environment(environment)
    back = {
        name: value
        for name, value in environment.items()
        if name.startswith("PYTHON") and name != "PYTHONHASHSEED" and started.get(name) != value
    }
    return back, tuple(name for name in started if name not in environment and name != "PYTHONHASHSEED")


def is_installed() -> bool:
    """Tell whether a fresh interpreter finds minispark by itself: it lies where packages are installed."""
    return any(str(Path(directory).resolve()) == PACKAGE_PARENT for directory in site.getsitepackages())
