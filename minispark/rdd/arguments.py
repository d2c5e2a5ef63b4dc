"""What the RDD's methods refuse, at once and in the user's own line, before anything starts.

Called by the methods, by partitioners, and by the context. What is wrong with RDDs as arguments is `face`'s business.
"""

import re
import sys
from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction
from reprlib import repr as shortened
from typing import Any, Final

from minispark.errors import ConfigurationError

__all__ = ["check_callable", "check_key", "check_prefetch", "check_size", "no_attribute"]

CAPITAL: Final = re.compile("[A-Z]")
CAMEL_CASE: Final = re.compile("[a-z]+([A-Z][a-z]*)+")


def check_callable(what: str, function: object) -> None:
    """Refuse what is not a function that tasks can call.

    Args:
        what: the operation or the argument.
        function: what it got.

    Raises:
        TypeError: it cannot be called, or returns a coroutine, which is true whatever it would return.
    """
    if not callable(function):
        raise TypeError(f"{what} needs a function, not {shortened(function)}")
    if is_async(function):
        raise TypeError(
            f"{what} needs a plain function, not the async {function!r}: tasks run plain functions, each in a runner"
            " process of its own, where nothing awaits; inside one, asyncio.run() runs a coroutine to its end"
        )


def is_async(function: Any) -> bool:
    """Tell whether calling something returns a coroutine or an async generator, as far as one can see."""
    while isinstance(function, partial):
        function = function.func
    if isinstance(function, type):
        return False  # calling it makes an object
    # Of an object the method that calls it counts; of a function it is a slot of C, which is neither.
    return any(
        iscoroutinefunction(called) or isasyncgenfunction(called) for called in (function, type(function).__call__)
    )


def check_key(what: str, key: object) -> None:
    """Refuse a `key` that is neither None nor a function.

    Raises:
        TypeError: names the operation and what it got.
    """
    if key is not None:
        check_callable(f"key of {what}", key)


def check_size(what: str, size: object) -> int:
    """Return a number of records; one that is larger than any list can be as the largest that Python's own take.

    Raises:
        ConfigurationError: it is not a whole number of at least 0.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise ConfigurationError(f"{what} = {size!r}: a whole number of at least 0 is needed")
    return min(size, sys.maxsize)


def check_prefetch(count: object) -> int:
    """Return how many partitions are computed ahead.

    Raises:
        ConfigurationError: it is not a whole number of at least 1.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ConfigurationError(f"prefetch_partitions = {count!r}: a whole number of at least 1 is needed")
    return count


def no_attribute(holder: object, name: str) -> AttributeError:
    """Return the error for a name that an object does not have; who comes from PySpark gets told ours."""
    text = f"{type(holder).__name__!r} object has no attribute {name!r}"
    ours = CAPITAL.sub(r"_\g<0>", name).lower()
    if CAMEL_CASE.fullmatch(name) and hasattr(type(holder), ours):
        text = f"{text}: here it is called {ours!r}"
    return AttributeError(text, name=name, obj=holder)
