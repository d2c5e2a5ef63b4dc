"""URLs as names of files: telling them from paths, and showing them to people. Used wherever a file is named.

What is shown goes to logs, to the driver and to web pages, so it must not hold a password.
"""

import re
from typing import Final

__all__ = ["is_url", "shown"]

URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
PASSWORD: Final = re.compile(r"(://[^/:@\s]*:)[^/\s]*@")


def is_url(name: str) -> bool:
    """Tell whether a name begins with a scheme."""
    return URL.match(name) is not None


def shown(name: str) -> str:
    """Return a path or URL, or a text with URLs in it, as messages show it: without passwords."""
    return PASSWORD.sub(r"\1…@", name)
