"""Exceptions as they travel from a task to the driver, with their causes, contexts, notes and members of groups.

`executor.failures` calls `dumps_exception`, which tries in the runner whether the driver will get what was raised;
`scheduler.job_errors` calls `loads_exception`. Tracebacks do not travel: their text does, beside the exception.
"""

import pickle
import re
from typing import Any, Final, NamedTuple

from minispark.errors import UserCodeError
from minispark.rdd import closures

__all__ = ["dumps_exception", "loads_exception", "type_name"]

MAX_LINKS: Final = 16
ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]+")


class Record(NamedTuple):
    """One exception and what it is linked to.

    Attributes:
        data: the pickled exception; for a plain ExceptionGroup its pickled text, and `members` has the rest.
        members: of a group: their links, and for a plain group themselves.
    """

    data: bytes
    is_plain_group: bool
    cause: "Record | None"
    context: "Record | None"
    suppress_context: bool
    members: tuple["Record", ...]


class Unmade:
    """An exception that is rebuilt without its `__init__`, which may take other arguments than it passed on."""

    def __init__(self, exception: BaseException) -> None:
        self.reduced: Any = exception.__reduce__()

    def __reduce__(self) -> tuple[Any, ...]:
        cls, args, *state = self.reduced
        return remake, (cls, args, *state)


def dumps_exception(exception: BaseException) -> bytes:
    """Pickle an exception; empty if the driver would not get the same (its text has to do then).

    Whoever calls this must be prepared for user code that raises anything.
    """
    if not isinstance(exception, Exception):
        return b""  # a SystemExit of a task must not end the driver
    record = record_of(exception, set())
    return b"" if record is None else pickle.dumps(record)


def loads_exception(data: bytes | bytearray | memoryview) -> BaseException:
    """Return a new exception, equal to the one that `dumps_exception` was given.

    Raises:
        Exception: a class of the user's cannot be imported or rebuilt here.
    """
    record: Record = pickle.loads(data)
    return restored(record)


def record_of(exception: BaseException, seen: set[int]) -> Record | None:
    """Pickle an exception with its links; None if it cannot travel."""
    seen.add(id(exception))
    members: tuple[Record, ...] = ()
    is_plain_group = type(exception) is ExceptionGroup
    if is_plain_group:
        assert isinstance(exception, ExceptionGroup)
        members = tuple(record_or_stand_in(member, seen) for member in exception.exceptions)
        data: bytes | None = pickle.dumps((exception.message, getattr(exception, "__notes__", [])))
    else:
        data = dumps_one(exception)
    if data is None:
        return None
    return Record(
        data,
        is_plain_group,
        linked(exception.__cause__, seen),
        linked(exception.__context__, seen),
        exception.__suppress_context__,
        members,
    )


def linked(exception: BaseException | None, seen: set[int]) -> Record | None:
    """Pickle a cause or context, once, and not too many of them."""
    if exception is None or id(exception) in seen or len(seen) >= MAX_LINKS:
        return None
    return record_or_stand_in(exception, seen)


def record_or_stand_in(exception: BaseException, seen: set[int]) -> Record:
    """Pickle an exception, or its type and text if it cannot travel."""
    record = record_of(exception, seen) if isinstance(exception, Exception) else None
    if record is None:
        stand_in = pickle.dumps(UserCodeError(f"{type_name(type(exception))}: {exception}"))
        record = Record(stand_in, False, None, None, False, ())
    return record


def dumps_one(exception: BaseException) -> bytes | None:
    """Pickle one exception as it wants it, or without its `__init__`; None if it does not come back as it was."""
    forms: list[object] = [exception]
    if not has_own_pickling(type(exception)):
        forms.append(Unmade(exception))
    for form in forms:
        try:
            data = closures.dumps_value(form)
            if is_same(closures.loads_value(data), exception):
                return data
        except BaseException:  # noqa: BLE001  # the user's __init__ or __reduce__, which may raise anything
            continue
    return None


def has_own_pickling(cls: type) -> bool:
    """Whether a class says itself how it is pickled, or keeps what `Unmade` would not see."""
    base = builtin_base(cls)
    names = ("__reduce__", "__reduce_ex__", "__setstate__", "__new__")
    own = cls.__mro__[: cls.__mro__.index(base)]
    return any(getattr(cls, name) is not getattr(base, name) for name in names) or any(
        vars(part).get("__slots__") for part in own
    )


def builtin_base(cls: type) -> type:
    """Return the nearest class that Python brings."""
    return next(base for base in cls.__mro__ if base.__module__ == "builtins")


def remake(cls: type[BaseException], args: tuple[Any, ...], state: dict[str, Any] | None = None) -> BaseException:
    """Rebuild an exception, calling no code of the user's."""
    base: Any = builtin_base(cls)
    made: BaseException = base.__new__(cls, *args)
    base.__init__(made, *args)
    if state:
        made.__setstate__(state)
    return made


def is_same(copy: object, exception: BaseException) -> bool:
    """Whether what came back is what was sent, and yet another object."""
    return (
        copy is not exception
        and type(copy) is type(exception)
        and ADDRESS.sub("0x", str(copy)) == ADDRESS.sub("0x", str(exception))
    )


def restored(record: Record) -> BaseException:
    """Rebuild an exception and what it is linked to."""
    if record.is_plain_group:
        message, notes = pickle.loads(record.data)
        exception: BaseException = ExceptionGroup(message, [restored(member) for member in record.members])  # type: ignore[type-var]  # members of an ExceptionGroup
        for note in notes:
            exception.add_note(note)
    else:
        exception = closures.loads_value(record.data)
    if record.cause is not None:
        exception.__cause__ = restored(record.cause)
    if record.context is not None:
        exception.__context__ = restored(record.context)
    exception.__suppress_context__ = record.suppress_context
    return exception


def type_name(cls: type) -> str:
    """Return a class's name as a traceback shows it."""
    return cls.__qualname__ if cls.__module__ in {"builtins", "__main__"} else f"{cls.__module__}.{cls.__qualname__}"
