"""The driver's register of the definitions that only the driver can give: those of its `__main__`.

Modules registered with `cloudpickle.register_pickle_by_value` count too. `rdd.closures` refers to such a class by its
name and version instead of pickling it into every closure; a runner that meets the name asks for it (`NeedClass`) and
gets what `MainClasses.content` returns. Definitions are pickled once per version, when a closure first needs them,
and again only when they changed: a notebook cell ran again, a class attribute or a used global was rebound.

Must not touch the classes themselves: the driver's own state is never changed by what travels.
"""

import pickle
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import cloudpickle

from minispark.errors import PicklingError

__all__ = ["Captured", "Content", "MainClasses", "is_importable", "is_shipped_by_value", "split_name"]

KEPT_VERSIONS: Final = 16  # of one name; older ones are only wanted by jobs that started many redefinitions ago
ABSENT: Final = object()


class Captured(NamedTuple):
    """One value that went into a pickled definition, and where it was found; a rebound name makes a new version."""

    namespace: Mapping[str, Any]
    name: str
    value: Any


class Content(NamedTuple):
    """The answer to `NeedClass`: the pickled definition, or (without data) why there is none; "" for no such name."""

    version: int
    data: bytes | None
    error: str


@dataclass(slots=True)
class Definition:
    """One version of one definition; `data` is empty until it is pickled."""

    value: Any
    version: int
    data: bytes = b""
    captured: list[Captured] = field(default_factory=list)
    members: int = 0

    def is_current(self) -> bool:
        """Whether all that was pickled is still bound to the same objects."""
        if isinstance(self.value, type) and len(vars(self.value)) != self.members:
            return False
        return all(namespace.get(name, ABSENT) is value for namespace, name, value in self.captured)


class MainClasses:
    """Names → versions → pickled definitions. Safe to use from several threads.

    Args:
        pickle_definition: pickles a class or function by value, and says which values went into it.
    """

    def __init__(self, pickle_definition: Callable[[Any, str, int], tuple[bytes, list[Captured]]]) -> None:
        self.pickle_definition = pickle_definition
        self.definitions: dict[str, dict[int, Definition]] = {}
        self.names: dict[int, tuple[str, int]] = {}  # id of a class → its name and newest version
        self.unpickled: list[tuple[str, Definition]] = []
        self.lock = threading.RLock()

    def reference(self, value: Any) -> tuple[str, int] | None:
        """Return the name and version by which runners know a class; None if it does not travel by reference.

        A class that is new here is pickled by the next `pickle_pending`.
        """
        if not isinstance(value, type):
            return None
        with self.lock:
            known = self.names.get(id(value))
            if known is not None:
                return known
            name = f"{value.__module__}:{value.__qualname__}"
            if not is_shipped_by_value(value.__module__) or look_up(name) is not value:
                return None
            return name, self.define(name, value).version

    def refresh(self) -> None:
        """Give a new version to every definition that changed since it was pickled."""
        with self.lock:
            for name, versions in list(self.definitions.items()):
                newest = versions[max(versions)]
                value = look_up(name)
                is_changed = value is not newest.value or (newest.data and not newest.is_current())
                if value is not ABSENT and is_changed:
                    self.define(name, value)

    def pickle_pending(self) -> None:
        """Pickle the definitions that are new, and those that they refer to.

        Raises:
            PicklingError: one cannot be pickled; none of the new ones is kept.
        """
        with self.lock:
            pickled: list[tuple[str, Definition]] = []
            try:
                while self.unpickled:
                    pickled.append(self.unpickled.pop())
                    self.pickle(*pickled[-1])
            except BaseException:
                # Whatever refers to the one that failed must fail again next time.
                self.unpickled += pickled
                self.discard_pending()
                raise

    def discard_pending(self) -> None:
        """Forget the definitions that are new and not pickled yet."""
        with self.lock:
            while self.unpickled:
                self.forget(*self.unpickled.pop())

    def versions(self) -> dict[str, int]:
        """Return the newest version of every name that a runner may know."""
        with self.lock:
            return {name: max(versions) for name, versions in self.definitions.items()}

    def resolve(self, name: str, version: int) -> Any:
        """Return the driver's own object for a reference.

        Raises:
            LookupError: there is no such object (any more).
        """
        with self.lock:
            known = self.definitions.get(name, {}).get(version)
        value = known.value if known is not None else look_up(name)
        if value is ABSENT:
            raise LookupError(f"{name} is not defined in the driver")
        return value

    def content(self, request: str) -> bytes:
        """Return a definition, pickled for a runner: the answer to `NeedClass(request)`.

        Never raises: what is wrong is told in the answer and raised in the runner.

        Args:
            request: "module:qualified.name", with "@version" if a certain one is wanted.
        """
        name, _, wanted = request.partition("@")
        with self.lock:
            try:
                return pickle.dumps(tuple(self.find_content(name, int(wanted or 0))))
            except PicklingError as error:
                return pickle.dumps((0, None, str(error)))

    def find_content(self, name: str, version: int) -> Content:
        """Find a version (0, or one that is gone: the newest) or define it now."""
        known = self.definitions.get(name, {})
        definition = known.get(version) or (known[max(known)] if known else None)
        if definition is None or not definition.data:
            value = look_up(name) if is_shipped_by_value(name.partition(":")[0]) else ABSENT
            if value is ABSENT:
                return Content(0, None, "")
            definition = definition or self.define(name, value)
            self.pickle_pending()
        return Content(definition.version, definition.data, "")

    def define(self, name: str, value: Any) -> Definition:
        """Add a version of a name, to be pickled."""
        versions = self.definitions.setdefault(name, {})
        definition = Definition(value, max(versions, default=0) + 1)
        versions[definition.version] = definition
        if isinstance(value, type) and f"{value.__module__}:{value.__qualname__}" == name:
            self.names[id(value)] = name, definition.version
        self.unpickled.append((name, definition))
        if len(versions) > KEPT_VERSIONS:
            self.forget(name, versions[min(versions)])
        return definition

    def forget(self, name: str, definition: Definition) -> None:
        """Take a version out."""
        versions = self.definitions[name]
        del versions[definition.version]
        key = id(definition.value)
        if self.names.get(key) == (name, definition.version):
            del self.names[key]
            # An earlier version may be the same class with other attributes.
            for version, earlier in versions.items():
                if earlier.value is definition.value:
                    self.names[key] = name, version
        if not versions:
            del self.definitions[name]

    def pickle(self, name: str, definition: Definition) -> None:
        """Pickle one definition and note what went into it."""
        value = definition.value
        own = [Captured(vars(value), *item) for item in vars(value).items()] if isinstance(value, type) else []
        data, captured = self.pickle_definition(value, name, definition.version)
        definition.members = len(own)
        definition.captured = own + captured
        definition.data = data


def is_shipped_by_value(module_name: str) -> bool:
    """Whether a module's definitions are given by the driver instead of being imported by runners."""
    if module_name == "__main__":
        return True
    registered = cloudpickle.list_registry_pickle_by_value()
    return any(module_name == name or module_name.startswith(f"{name}.") for name in registered)


def is_importable(value: Any) -> bool:
    """Whether runners find a named object by themselves, under the name it gives itself."""
    module = getattr(value, "__module__", None) or ""
    return not is_shipped_by_value(module) and look_up(f"{module}:{getattr(value, '__qualname__', '')}") is value


def split_name(name: str) -> tuple[str, str]:
    """Split "module:qualified.name"."""
    module, _, qualified_name = name.partition(":")
    return module, qualified_name


def look_up(name: str) -> Any:
    """Return what a name means in this process now; ABSENT if nothing."""
    module, qualified_name = split_name(name)
    value: Any = sys.modules.get(module, ABSENT)
    for part in qualified_name.split("."):
        value = getattr(value, part, ABSENT)
    return value
