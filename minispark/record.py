"""Records: small immutable values with named fields, cheap to declare, to make and to compare.

Messages are records (`rpc.message`), and so is what machines return. A record is a slotted dataclass of which next to
nothing is generated up front: a process declares hundreds and uses few, and what a frozen dataclass generates, six
functions compiled one by one, would be a fifth of what starting a driver takes. Must not know what it is used for.
"""

import dataclasses
import os
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, dataclass_transform

__all__ = ["Record", "record"]

R = TypeVar("R", bound="Record")

# Frozen ones take 0.2 µs a field longer to make, so only tests have them; mypy sees every record as frozen.
FROZEN = os.environ.get("MINISPARK_FROZEN_RECORDS") == "1"


class Record:
    """The base of all records: compares, hashes and prints by the fields; declared with `@record`."""

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The first of its class: from now on the class has a constructor of its own.
        cls = type(self)
        cls.__init__ = constructor(cls)  # type: ignore[method-assign]
        cls.__init__(self, *args, **kwargs)

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__match_args__)

    def __hash__(self) -> int:
        return hash((self.__class__, *(getattr(self, name) for name in self.__match_args__)))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
        return f"{type(self).__qualname__}({fields})"


@dataclass_transform(frozen_default=True)
def record(cls: type[R]) -> type[R]:
    """Make a record of a class: fields are its annotations, in order, with their defaults, which must be immutable.

    `__post_init__` runs if there is one; it may check, and refuse with an error.

    Raises:
        TypeError: a field without a default follows one that has one, or a default is made by a function.
        ValueError: a default could be changed.
    """
    made: type[R] = dataclasses.dataclass(slots=True, frozen=FROZEN, init=False, eq=False, repr=False)(cls)
    made.__init__ = Record.__init__  # type: ignore[method-assign]  # not that of a record it inherits from
    has_default = False
    for field in dataclasses.fields(made):  # type: ignore[arg-type]
        if field.default_factory is not dataclasses.MISSING:
            raise TypeError(f"{cls.__qualname__}.{field.name}: a record takes defaults, not functions that make them")
        if has_default and field.default is dataclasses.MISSING:
            raise TypeError(f"{cls.__qualname__}.{field.name} has no default and follows a field that has one")
        has_default = field.default is not dataclasses.MISSING
    return made


def constructor(cls: type[Any]) -> Callable[..., None]:
    """Compile the `__init__` of a record: fields by position or by name."""
    parameters, body = ["self"], []
    defaults: dict[str, Any] = {}
    for field in dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ():
        parameters.append(field.name)
        if field.default is not dataclasses.MISSING:
            defaults[field.name] = field.default
            parameters[-1] += f"=defaults[{field.name!r}]"
        body.append(f"assign(self, {field.name!r}, {field.name})" if FROZEN else f"self.{field.name} = {field.name}")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    namespace: dict[str, Any] = {"defaults": defaults, "assign": object.__setattr__}
    exec(f"def __init__({', '.join(parameters)}):\n " + "\n ".join(body or ["pass"]), namespace)
    made: Callable[..., None] = namespace["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"  # as it is named when arguments do not fit
    return made
