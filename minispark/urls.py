"""URLs as names of files: telling them from paths, and showing them to people. Used wherever a file is named.

What is shown goes to logs, to the driver, to web pages and journals, so it must not hold a password. Libraries put
the whole URL into their errors; `conceal` goes over those.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final
from urllib.parse import unquote

__all__ = ["conceal", "concealing", "is_url", "shown", "shown_setting"]

URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# Passwords with a slash, as keys of S3 have them, are not allowed in URLs and are met all the same; without a bound,
# many URLs in a row would be searched up to the end of all for each of them.
PASSWORD: Final = re.compile(r"(://[^/:@\s\[]*:)(?:([^/\s]*)@|(?!:|\d*/)(\S{0,1000}?)@)")
QUERY: Final = re.compile(r"([?&;])([\w.%-]{1,64})=([^\s&;#'\"]+)")
SECRET: Final = re.compile(r"key|token|secret|sig|pass|pwd|cred|auth", re.IGNORECASE)
SECRET_SETTING: Final = re.compile(r"(?:secret|password|token|access[._]?key)(?!file)", re.IGNORECASE)
LONG: Final = 20  # a value in a query that is longer is no name of a page, whatever it is called
TELLING: Final = 4  # what is shorter than that is hidden only where a URL has it, since any word may hold it
ATTRIBUTES: Final = ("filename", "filename2", "strerror", "msg", "reason")  # of exceptions that are written in C


def is_url(name: str) -> bool:
    """Tell whether a name begins with a scheme."""
    return URL.match(name) is not None


def shown(name: str) -> str:
    """Return a path or URL, or a text with URLs in it, as messages show it: without passwords and tokens."""
    if "://" not in name:
        return name
    return QUERY.sub(without_token, PASSWORD.sub(r"\1…@", name))


def without_token(found: re.Match[str]) -> str:
    """Return a part of a query as it is shown."""
    mark, key, value = found.groups()
    return f"{mark}{key}=…" if is_token(key, value) else found[0]


def is_token(key: str, value: str) -> bool:
    """Tell whether a part of a query opens doors, by its name or its length."""
    return SECRET.search(key) is not None or len(value) > LONG


def shown_setting(key: str, value: str) -> str:
    """Return the value of a setting or variable for people: hidden, as by Spark, if its key speaks of a secret."""
    return "…" if value and SECRET_SETTING.search(key) else shown(value)


def secrets_in(url: str) -> list[str]:
    """Return the passwords and tokens of a URL: as they are written, as they are meant, and divided at slashes."""
    found = [match[2] or match[3] or "" for match in PASSWORD.finditer(url)]
    found += [value for _, key, value in QUERY.findall(url) if is_token(key, value)]
    forms = (form for written in found for form in (written, unquote(written), *written.split("/")))
    return sorted({form for form in forms if len(form) >= TELLING}, key=len, reverse=True)


@contextmanager
def concealing(url: str) -> Iterator[None]:
    """Have an OSError that the block raises pass without passwords; others may be the user's and pass as they are."""
    try:
        yield
    except OSError as error:
        conceal(error, url)
        raise


def conceal(error: BaseException, url: str) -> None:
    """Take passwords and tokens out of an exception and all that it is linked to, in place: it keeps its type.

    Args:
        error: what the file system of a URL raised.
        url: whose secrets are hidden wherever they stand; those of other URLs, where they look like secrets.
    """
    secrets = secrets_in(url)

    def hide(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, "…")
        return shown(text)

    waiting, seen = [error], {id(error)}
    while waiting:
        one = waiting.pop()
        clean(one, hide)
        members = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        for linked in (one.__cause__, one.__context__, *members):
            if linked is not None and id(linked) not in seen:
                seen.add(id(linked))
                waiting.append(linked)


def clean(error: BaseException, hide: Callable[[str], str]) -> None:
    """Hide secrets in what one exception holds."""
    with suppress(Exception):  # a foreign class may refuse, and its error matters more
        error.args = cleaned(error.args, hide)
    for name in (*ATTRIBUTES, *getattr(error, "__dict__", ())):
        with suppress(Exception):
            value = getattr(error, name)
            if (new := cleaned(value, hide)) != value:
                setattr(error, name, new)


def cleaned(value: Any, hide: Callable[[str], str]) -> Any:
    """Return a value without secrets; one of a foreign class that would show some, as its text."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, tuple):
        new = [cleaned(part, hide) for part in value]
        return type(value)(*new) if hasattr(value, "_fields") else tuple(new)
    if isinstance(value, list):
        return [cleaned(part, hide) for part in value]
    if isinstance(value, dict):
        return {key: cleaned(part, hide) for key, part in value.items()}
    if value is None or isinstance(value, int | float | bytes | BaseException):
        return value
    text = str(value)
    hidden = hide(text)
    return value if hidden == text else hidden
