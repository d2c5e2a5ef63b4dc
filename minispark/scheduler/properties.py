"""Local properties: what a job inherits from the code that submits it.

They live in a context variable, so that each request of a web service, each task of a program, has its own, and tasks
started from it inherit them. Source: Spark's local properties, which belong to threads.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from minispark.errors import ConfigurationError

__all__ = [
    "DESCRIPTION",
    "GROUP",
    "INTERRUPT_ON_CANCEL",
    "POOL",
    "TAGS",
    "check_tag",
    "current_properties",
    "current_tags",
    "get_local_property",
    "local_properties",
    "set_local_property",
    "set_tags",
]

GROUP = "minispark.jobGroup.id"
DESCRIPTION = "minispark.job.description"
INTERRUPT_ON_CANCEL = "minispark.job.interruptOnCancel"
POOL = "minispark.scheduler.pool"
TAGS = "minispark.job.tags"
TAG_SEPARATOR = ","

# The mapping is replaced, never changed: tasks that inherited it keep what they inherited.
properties: ContextVar[Mapping[str, str]] = ContextVar("minispark local properties")


def current_properties() -> dict[str, str]:
    """Return a copy of the properties that a job submitted now would get."""
    return dict(properties.get({}))


def get_local_property(key: str) -> str | None:
    """Return one property; None if it is not set."""
    return properties.get({}).get(key)


def set_local_property(key: str, value: str | None) -> None:
    """Set a property for the jobs submitted from here on; None removes it."""
    changed = current_properties()
    if value is None:
        changed.pop(key, None)
    else:
        changed[key] = value
    properties.set(changed)


@contextmanager
def local_properties(**values: str) -> Iterator[None]:
    """Set properties for a block of code: `with local_properties(**{GROUP: "nightly"}): …`."""
    token = properties.set(current_properties() | values)
    try:
        yield
    finally:
        properties.reset(token)


def check_tag(tag: object) -> str:
    """Return a tag.

    Raises:
        ConfigurationError: it is empty, no text, or has a comma in it, which separates tags.
    """
    if not isinstance(tag, str) or not tag or TAG_SEPARATOR in tag:
        raise ConfigurationError(f"a job tag is a text that is not empty and has no comma in it, not {tag!r}")
    return tag


def current_tags() -> list[str]:
    """Return the tags that a job submitted now would get."""
    text = get_local_property(TAGS)
    return text.split(TAG_SEPARATOR) if text else []


def set_tags(tags: Iterable[str]) -> None:
    """Set the tags of the jobs submitted from here on."""
    set_local_property(TAGS, TAG_SEPARATOR.join(dict.fromkeys(tags)) or None)
