"""The driver's `__main__` as a runner sees it: a module whose names are asked of the driver when first mentioned.

`closures.install_main` puts it in place. From then on what is pickled by reference to the driver's `__main__`
(records, results, exceptions) is found in `sys.modules["__main__"]`, so that the C pickler works both ways.
Modules registered with `cloudpickle.register_pickle_by_value` are provided in the same way, by an import hook.

Must not be used in the driver: there the real modules are.
"""

import importlib.abc
import importlib.machinery
import pickle
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, Final, NamedTuple

from minispark.errors import PicklingError
from minispark.rdd.main_classes import Content, split_name

__all__ = ["DriverModules", "Known"]

KEPT_VERSIONS: Final = 16


class Known(NamedTuple):
    """What the driver knew when it made a task binary: versions by name, and the modules that it ships by value."""

    versions: Mapping[str, int]
    modules: frozenset[str]


class DriverModules:
    """The definitions that a runner got from its driver. Safe to use from several threads.

    Args:
        ask: "module:name" or "module:name@version" → `MainClasses.content`; blocks.
    """

    def __init__(self, ask: Callable[[str], bytes]) -> None:
        self.ask = ask
        self.held: dict[str, dict[int, Any]] = {}
        self.references: dict[int, tuple[str, int]] = {}  # by id; the objects are in `held`
        self.wanted: dict[str, int] = {}  # the version that a bare name means now
        self.active = Known({}, frozenset())
        self.modules: dict[str, ModuleType] = {}
        self.lock = threading.RLock()

    def install(self) -> None:
        """Put the driver's modules in the place of this process's own."""
        self.replaced_main = sys.modules["__main__"]  # kept: its functions may still run
        sys.modules["__main__"] = self.make_module("__main__")
        sys.meta_path.insert(0, DriverModuleFinder(self))

    def make_module(self, name: str) -> ModuleType:
        """Return a module of the driver, empty but for the hook that asks."""
        module = ModuleType(name, "A module of the driver, defined as it is used.")
        self.fill_module(module)
        return module

    def fill_module(self, module: ModuleType) -> None:
        """Give a new module its hook."""
        name = module.__name__

        def ask_driver(attribute: str) -> Any:
            # Libraries look for `__file__`, `__spec__` and such; the driver's would be of no use here.
            if attribute.isidentifier() and not attribute.startswith("__"):
                return self.find(f"{name}:{attribute}")
            raise AttributeError(f"module {name!r} of the driver has no attribute {attribute!r} here")

        vars(module)["__getattr__"] = ask_driver
        self.modules[name] = module

    def activate(self, known: Known) -> None:
        """Let bare names mean what they meant in the driver when a task binary was made."""
        if known == self.active:
            return
        with self.lock:
            for module in known.modules - self.active.modules:
                self.take_over(module)
            for name, version in known.versions.items():
                if self.wanted.get(name) != version:
                    self.wanted[name] = version
                    self.bind(name)
            self.active = known

    def take_over(self, module: str) -> None:
        """Have a module that was imported here by itself imported again, from the driver."""
        for name in list(sys.modules):
            if (name == module or name.startswith(f"{module}.")) and name not in self.modules:
                del sys.modules[name]

    def find(self, name: str) -> Any:
        """Return what a bare name means.

        Raises:
            AttributeError: the driver has no such name.
            PicklingError: the definition cannot be pickled; the text is the driver's.
        """
        with self.lock:
            version = self.wanted.get(name)
            return self.load(name, name) if version is None else self.resolve(name, version)

    def resolve(self, name: str, version: int) -> Any:
        """Return a version of a definition, asking for it if it is new here; errors as of `find`."""
        with self.lock:
            held = self.held.get(name, {})
            return held[version] if version in held else self.load(name, f"{name}@{version}")

    def load(self, name: str, request: str) -> Any:
        """Ask for a definition and load it."""
        version, data, error = Content(*pickle.loads(self.ask(request)))
        if data is None:
            module, attribute = split_name(name)
            if error:
                raise PicklingError(error)
            raise AttributeError(f"module {module!r} of the driver has no attribute {attribute!r}")
        try:
            value = pickle.loads(data)
        except BaseException:
            # A kill may strike in the middle: nobody may find a class without its methods.
            if self.held.get(name, {}).pop(version, None) is not None:
                self.bind(name)
            raise
        self.publish(name, version, value)
        return value

    def publish(self, name: str, version: int, value: Any) -> None:
        """Make a definition known: a class while it is still empty, since its methods may refer to it."""
        with self.lock:
            held = self.held.setdefault(name, {})
            held[version] = value
            self.references[id(value)] = name, version
            if len(held) > KEPT_VERSIONS:
                dropped = held.pop(min(held))
                if self.references.get(id(dropped), ("", 0))[1] not in held:
                    self.references.pop(id(dropped), None)
            self.wanted.setdefault(name, version)
            self.bind(name)

    def bind(self, name: str) -> None:
        """Let the module's attribute be the wanted version, or be asked for when it is mentioned."""
        module_name, attribute = split_name(name)
        module = self.modules.get(module_name)
        if module is None or "." in attribute:  # nested classes are attributes of their outer ones
            return
        held = self.held.get(name, {})
        if self.wanted[name] in held:
            setattr(module, attribute, held[self.wanted[name]])
        else:
            vars(module).pop(attribute, None)

    def reference(self, value: Any) -> tuple[str, int] | None:
        """Return the name and version of a definition that came from the driver; None for any other object."""
        return self.references.get(id(value))


class DriverModuleFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the modules that the driver ships by value, before any file of that name is looked for."""

    def __init__(self, modules: DriverModules) -> None:
        self.modules = modules

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return a spec for a module of the driver, or for a parent package that cannot be imported here."""
        for name in self.modules.active.modules:
            if fullname == name or fullname.startswith(f"{name}."):
                return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
            if name.startswith(f"{fullname}."):
                finders = [finder for finder in sys.meta_path if finder is not self]
                found = (finder.find_spec(fullname, path, target) for finder in finders)
                return next(filter(None, found), importlib.machinery.ModuleSpec(fullname, self, is_package=True))
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Fill a module that was just made."""
        self.modules.fill_module(module)
