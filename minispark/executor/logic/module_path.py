"""Where the runners of an executor process find modules: the driver's `sys.path` and the executor's own, in one.

Called once, at the start of an executor process. Must not look at the disk itself.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

__all__ = ["merged_path"]

STANDARD_LIBRARY: Final = re.compile(r"/(python\d+\.\d+|python\d+\.zip|lib-dynload)/?$")


def merged_path(
    driver: Sequence[str], directory: str, own: Sequence[str], is_seen: Callable[[str], bool]
) -> tuple[str, ...]:
    """Return the path for runners.

    What the driver has before its standard library (the folder of its script, PYTHONPATH) comes first, so that the
    modules of the program are found as in the driver. The standard library is the executor's own, or parts of two
    interpreters would be mixed. The rest of the driver's comes last: what is installed with the executor was made
    for its interpreter.

    Args:
        driver: the driver's `sys.path`.
        directory: the driver's working directory, which relative entries mean.
        own: the executor's `sys.path`.
        is_seen: tells whether something is there, on this host.
    """
    front: list[str] = []
    back: list[str] = []
    place = front
    for entry in driver:
        path = entry if entry.startswith("/") else f"{directory}/{entry}".rstrip("/")
        if STANDARD_LIBRARY.search(path):
            place = back
        elif path not in own and is_seen(path):
            place.append(path)
    return tuple(dict.fromkeys([*front, *own, *back]))
