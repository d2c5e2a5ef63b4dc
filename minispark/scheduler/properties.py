"""Local properties: what a job inherits from the code that submits it.

They live in a context variable, so that each request of a web service, each task of a program, has its own, and tasks
started from it inherit them. Source: Spark's local properties, which belong to threads.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = [
    "DESCRIPTION",
    "GROUP",
    "INTERRUPT_ON_CANCEL",
    "POOL",
    "current_properties",
    "get_local_property",
    "local_properties",
    "set_local_property",
]

GROUP = "minispark.jobGroup.id"
DESCRIPTION = "minispark.job.description"
INTERRUPT_ON_CANCEL = "minispark.job.interruptOnCancel"
POOL = "minispark.scheduler.pool"

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
