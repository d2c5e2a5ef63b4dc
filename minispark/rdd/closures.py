"""The only module that pickles functions and classes: task binaries to the runners, values both ways.

Called by the context (`dumps`), by runners (`loads`, `activate`, `install_main`) and by both for partitions, results
and exceptions (`dumps_value`, `loads_value`). Functions that runners cannot import travel by value inside the binary,
as cloudpickle does it; classes of the driver's `__main__` travel as references (`rdd.main_classes`), so that an
instance made in a runner is, back in the driver, an instance of the driver's own class.

Must not change a class of the process it runs in: what arrives here and is at home here is left as it is.
"""

import dataclasses
import functools
import io
import logging
import pickle
from collections.abc import Callable, Sequence
from enum import Enum
from types import FunctionType
from typing import Any, Final, NamedTuple, cast
from weakref import WeakKeyDictionary, WeakSet

import cloudpickle

from minispark.errors import PicklingError
from minispark.rdd.driver_modules import DriverModules, Known
from minispark.rdd.main_classes import Captured, MainClasses, is_importable
from minispark.rdd.pickle_diagnosis import explain, heaviest
from minispark.rdd.tasks import TaskWork
from minispark.rpc.message import Attachment

__all__ = [
    "ClosurePickler",
    "activate",
    "class_content",
    "dumps",
    "dumps_apart",
    "dumps_value",
    "install_main",
    "loads",
    "loads_apart",
    "loads_value",
    "resolve_main_class",
]

logger = logging.getLogger(__name__)
# Its only word is advice to a program that works: unheard, unless the host configures logging.
logger.addHandler(logging.NullHandler())

PICKLE_PROTOCOL: Final = 5
LARGE_BYTES: Final = 1 << 20
APART_BYTES: Final = 4 << 10
CHANGED_BY_CLOUDPICKLE: Final = (io.TextIOWrapper, memoryview)
NOTHING_KNOWN: Final = Known({}, frozenset())

classes_of_here: WeakSet[type] = WeakSet()  # went out from here first
classes_of_elsewhere: WeakSet[type] = WeakSet()  # arrived by value
own_names: dict[int, Any] = {}  # by id: classes and functions of this package, which every process can import
warned_places: set[str] = set()
known_by_work: WeakKeyDictionary[TaskWork, Known] = WeakKeyDictionary()


class Binary(NamedTuple):
    """Work on its way to the runners; what is unpickled is the work alone.

    Attributes:
        versions: of the classes of the driver's `__main__`, by name, as of when the work was pickled.
        modules: those that the driver ships by value.
        work: the pickled `TaskWork`.
    """

    versions: dict[str, int]
    modules: set[str]
    work: bytes

    def __reduce__(self) -> tuple[Any, ...]:
        return open_binary, tuple(self)


class ClosurePickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle is not typed
    """cloudpickle, but for classes that the other side knows or can ask for.

    Args:
        file: receives the pickle.
        definition: (value, name, version): the class or function that is pickled by value for others to refer to.
    """

    def __init__(self, file: io.BytesIO, definition: tuple[Any, str, int] | None = None) -> None:
        super().__init__(file, protocol=PICKLE_PROTOCOL)
        self.definition = definition
        self.captured: list[Captured] = []

    def reducer_override(self, obj: Any) -> Any:
        """Say how an object is pickled; NotImplemented leaves it to the C pickler."""
        kind = type(obj)
        if own_names.get(id(obj)) is obj or own_names.get(id(kind)) is kind:
            return NotImplemented  # most of a job's binary; what follows takes as long as pickling it
        reduced = self.reduce(obj)
        is_name = reduced is NotImplemented and isinstance(obj, type | FunctionType)
        if is_name and (obj.__module__ or "").startswith("minispark."):
            own_names[id(obj)] = obj
        return reduced

    def reduce(self, obj: Any) -> Any:
        """Say how an object is pickled that is not one of this package's own."""
        if isinstance(obj, type):
            return self.reduce_class(obj)
        if isinstance(obj, FunctionType):
            return self.reduce_function(obj)
        if isinstance(obj, functools._lru_cache_wrapper) and not is_importable(obj):
            return reduce_cached_function(obj)
        if type(obj) is functools.cached_property:
            return reduce_cached_property(obj)
        if obj is dataclasses.MISSING:
            return "MISSING"  # a copy would make every field of a dataclass have a default
        return super().reducer_override(obj)

    def reduce_class(self, obj: type) -> Any:
        """Refer to a class of the driver, or pickle a class that cannot be imported by value."""
        is_defined_here = self.definition is not None and obj is self.definition[0]
        if not is_defined_here and (reference := registry().reference(obj)) is not None:
            return resolve_main_class, reference
        reduced = super().reducer_override(obj)
        if not isinstance(reduced, tuple) or len(reduced) != 6:
            return reduced
        if obj not in classes_of_elsewhere:
            classes_of_here.add(obj)
        make, args, state, _, _, set_state = reduced
        slots = vars(obj).get("__slots__")
        if isinstance(slots, str | tuple | list | dict) and not issubclass(obj, Enum | tuple):
            # cloudpickle makes the class without them, and its instances then do not fit the driver's class.
            args = (*args[:3], args[3] | {"__slots__": slots}, *args[4:])
        name_and_version = self.definition[1:] if is_defined_here and self.definition else None
        return make_class, (name_and_version, make, args), (set_state, state), None, None, set_class_state

    def reduce_function(self, obj: FunctionType) -> Any:
        """Pickle a function as cloudpickle does, and note which globals went with it."""
        definition = self.definition
        if definition is None or obj is not definition[0]:
            reference = registry().reference(obj)
            if reference is not None:
                return resolve_main_class, reference
        reduced = super().reducer_override(obj)
        if definition is not None and isinstance(reduced, tuple):
            used = reduced[2][1]["__globals__"]
            self.captured += [Captured(obj.__globals__, name, value) for name, value in used.items()]
        return reduced


class ValuePickler(ClosurePickler):
    """For data: refuses what cloudpickle would turn into something else without a word.

    A function may well read a copy of an open file, but a record that was a file must not arrive as a text in memory.
    """

    def reducer_override(self, obj: Any) -> Any:
        """Say how an object is pickled; as of `ClosurePickler`."""
        if isinstance(obj, CHANGED_BY_CLOUDPICKLE):
            raise TypeError(f"cannot pickle '{type(obj).__name__}' object")
        return super().reducer_override(obj)


def dumps(value: object) -> bytes:
    """Pickle a `TaskWork` (what the tasks of a stage do), or any value that holds functions or local classes.

    Raises:
        PicklingError: something in it cannot be pickled; the text gives the path to it and what to do.
    """
    with main_classes.lock:
        is_work = isinstance(value, TaskWork)
        is_binary = is_work and driver_modules is None
        if is_binary:
            main_classes.refresh()
        try:
            data, _ = pickle_or_explain(value, make_pickler=ClosurePickler if is_work else ValuePickler)
        except BaseException:
            main_classes.discard_pending()
            raise
        main_classes.pickle_pending()
        if is_binary:
            modules = cloudpickle.list_registry_pickle_by_value()
            data = pickle.dumps(Binary(main_classes.versions(), modules, data), PICKLE_PROTOCOL)
    if is_binary and len(data) > LARGE_BYTES:
        warn_of_size(cast(TaskWork, value))
    return data


def loads(data: bytes | bytearray | memoryview) -> Any:
    """Return what was pickled; work is activated, too.

    Raises:
        Exception: whatever the user's modules and classes raise when they are imported and rebuilt.
    """
    return pickle.loads(data)


def activate(work: TaskWork) -> None:
    """Let names of the driver's `__main__` mean what they meant when this work was pickled; before each of its tasks.

    Only matters when jobs from before and after a redefinition in a notebook share a runner; costs next to nothing
    otherwise.
    """
    if driver_modules is not None:
        driver_modules.activate(known_by_work.get(work, NOTHING_KNOWN))


def dumps_value(value: object) -> bytes:
    """Pickle a partition, a single result or an exception: by the C pickler, by `dumps` if that cannot.

    Raises:
        PicklingError: neither can; the text gives the path to the culprit.
    """
    try:
        return pickle.dumps(value, PICKLE_PROTOCOL)
    except Exception:  # noqa: BLE001  # a lambda or a local class inside, or whatever the user's __reduce__ raises
        return dumps(value)


def loads_value(data: bytes | bytearray | memoryview) -> Any:
    """Return what `dumps_value` was given.

    Raises:
        Exception: whatever the user's classes raise when they are rebuilt.
    """
    return pickle.loads(data)


def dumps_apart(value: object) -> tuple[bytes, list[pickle.PickleBuffer]]:
    """Pickle a value as `dumps_value` does, but leave large buffers out: arrays of numpy, for instance.

    Whoever wrote the buffers elsewhere releases them. One that is not contiguous stays in the pickle, and so does all
    of a value that only `dumps` can pickle.

    Raises:
        PicklingError: it cannot be pickled; the text gives the path to the culprit.
    """
    buffers: list[pickle.PickleBuffer] = []
    try:
        data = pickle.dumps(value, PICKLE_PROTOCOL, buffer_callback=lambda buffer: leave_out(buffer, buffers))
    except Exception:  # noqa: BLE001  # as in dumps_value
        return dumps(value), []
    return data, buffers


def leave_out(buffer: pickle.PickleBuffer, buffers: list[pickle.PickleBuffer]) -> bool:
    """Keep a buffer apart if it is large and contiguous; a true answer makes the pickler take it in."""
    try:
        with buffer.raw() as content:
            is_large = len(content) >= APART_BYTES
    except BufferError:
        return True
    if is_large:
        buffers.append(buffer)
    return not is_large


def loads_apart(data: Attachment, buffers: Sequence[Attachment]) -> Any:
    """Return what `dumps_apart` was given; arrays are views of the buffers, read-only as these are.

    Raises:
        Exception: whatever the user's classes raise when they are rebuilt.
    """
    return pickle.loads(data, buffers=buffers)


def class_content(request: str) -> bytes:
    """Answer `NeedClass` in the driver; never raises (the runner raises what is wrong).

    Args:
        request: the message's `qualified_name`, as `install_main`'s ask was given it.
    """
    return main_classes.content(request)


def install_main(ask: Callable[[str], bytes]) -> None:
    """Make this process, a runner, see the driver's `__main__` as its own; once, before any task.

    Args:
        ask: sends `NeedClass(qualified_name)` to the driver and returns `Binary.data`; blocks.
    """
    global driver_modules
    driver_modules = DriverModules(ask)
    driver_modules.install()


def reduce_cached_function(cached: Any) -> tuple[Any, ...]:
    """Pickle what `functools.cache` or `lru_cache` made by value, to be cached anew; its own way is by name."""
    function = cached.__wrapped__
    attributes = {
        name: value
        for name, value in vars(cached).items()
        if name not in {"__wrapped__", "cache_parameters"} and getattr(function, name, None) is not value
    }
    parameters = cached.cache_parameters()
    return make_cached_function, (function, parameters["maxsize"], parameters["typed"]), attributes or None


def make_cached_function(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    """Give a function that came by value a cache of its own."""
    return functools.lru_cache(maxsize, typed)(function)


def reduce_cached_property(cached: Any) -> tuple[Any, ...]:
    """Pickle a `functools.cached_property` without the lock that it has in Python 3.11."""
    return functools.cached_property, (cached.func,), {k: v for k, v in vars(cached).items() if k != "lock"}


def resolve_main_class(name: str, version: int) -> Any:
    """Return what a reference in a pickle means: the driver's own class, or the runner's copy of it."""
    return registry().resolve(name, version)


def make_class(name_and_version: tuple[str, int] | None, make: Callable[..., type], args: tuple[Any, ...]) -> type:
    """Make a class that came by value, still without its attributes."""
    made = make(*args)
    if name_and_version is not None and driver_modules is not None:
        driver_modules.publish(*name_and_version, made)
    return made


def set_class_state(cls: type, state: tuple[Callable[[type, Any], object], Any]) -> None:
    """Give a class that came by value its attributes, unless it is at home here."""
    if cls in classes_of_here:
        return
    classes_of_elsewhere.add(cls)
    set_state, attributes = state
    set_state(cls, attributes)


def pickle_definition(value: Any, name: str, version: int) -> tuple[bytes, list[Captured]]:
    """Pickle a class or function of `__main__` by value, for `MainClasses`."""
    return pickle_or_explain(value, (value, name, version))


def pickle_or_explain(
    value: object,
    definition: tuple[Any, str, int] | None = None,
    make_pickler: type[ClosurePickler] = ClosurePickler,
) -> tuple[bytes, list[Captured]]:
    """Pickle, naming the culprit on failure."""
    file = io.BytesIO()
    pickler = make_pickler(file, definition)
    try:
        pickler.dump(value)
    except Exception as error:  # noqa: BLE001  # whatever a user's __reduce__ raises
        found = explain(value, error, lambda: make_pickler(io.BytesIO(), definition))
        # What the user's own code raised is worth its traceback; the pickler's word is in the text already.
        raise PicklingError(found.text) from found.cause
    return file.getvalue(), pickler.captured


def open_binary(versions: dict[str, int], modules: set[str], data: bytes) -> TaskWork:
    """Make names mean what they meant when the work was pickled, and rebuild the work."""
    known = Known(versions, frozenset(modules)) if versions or modules else NOTHING_KNOWN
    if driver_modules is not None:
        driver_modules.activate(known)
    work: TaskWork = pickle.loads(data)
    known_by_work[work] = known
    return work


def warn_of_size(work: TaskWork) -> None:
    """Say what makes a binary large, once for each line of the user's."""
    place = work.node.call_site
    if place in warned_places:
        return
    warned_places.add(place)
    try:
        path = heaviest(work, lambda part: len(pickle_or_explain(part)[0]), lambda: ClosurePickler(io.BytesIO()))
    except Exception:  # noqa: BLE001  # some parts of the user's can only be pickled together
        path = f"that of {work.node!r}"
    logger.warning("a large closure: %s; let the function capture only what it needs", path)


def registry() -> MainClasses | DriverModules:
    """Return who knows the driver's classes in this process."""
    return main_classes if driver_modules is None else driver_modules


# One per process, as `__main__` is: contexts that follow each other, or run side by side, share its classes.
main_classes: Final = MainClasses(pickle_definition)
driver_modules: DriverModules | None = None
