"""Finds what in a closure cannot be pickled, or makes it large, and how one gets there from the user's function.

Called by `rdd.closures` after pickling failed, so it may take its time: it pickles parts, smaller and smaller, until
the smallest that fails is found. Must not change what it looks at.
"""

import copyreg
import functools
import pickle
from collections.abc import Callable, Iterator
from itertools import islice
from operator import itemgetter
from pathlib import PurePath
from types import FunctionType, MethodType
from typing import Any, Final, NamedTuple

from minispark.errors import PicklingError
from minispark.rdd.node import Node

__all__ = ["Explanation", "MakePickler", "explain", "heaviest"]

MAX_STEPS: Final = 60
MAX_ROUNDS: Final = 4 * MAX_STEPS
MAX_PARTS: Final = 1 << 20
SHOWN_STEPS: Final = 8
NAME_LENGTH: Final = 60
TEXT_LENGTH: Final = 500

ATOMS: Final = (bytes, bytearray, str, int)
CONTAINERS: Final = (dict, list, tuple, set, frozenset, functools.partial)

HINT_SELF: Final = (
    "the function uses `self`, so the whole object is sent with it: copy what it needs into a local variable first"
)
HINT_RECURSION: Final = "flatten it (a list of its elements, say) before it is sent"
HINT_DEFAULT: Final = (
    "make it inside the function, once per partition (map_partitions), or leave it out in __getstate__"
)
HINTS: Final = (
    (("generator", "_iterator"), "turn it into a list first"),
    (("coroutine", "Future", "Task", "EventLoop", "Loop"), "await it before, and use its result"),
    (("TextIOWrapper", "BufferedReader", "BufferedWriter", "BufferedRandom", "FileIO"),
     "pass the path and open the file inside the function"),
    (("frame", "traceback"), "keep its text (traceback.format_exc()) instead"),
    (("module",), "import it inside the function"),
)  # fmt: skip

MakePickler = Callable[[], Any]


class Explanation(NamedTuple):
    """The text of a PicklingError, and the exception of the user's own code behind it, if there is one."""

    text: str
    cause: BaseException | None


class Step(NamedTuple):
    """One step from the root: how the object hangs on the one before it, and the object."""

    label: str
    value: Any


def explain(root: object, error: BaseException, make_pickler: MakePickler) -> Explanation:
    """Say why an object cannot be pickled: the path to the culprit and a hint; never raises.

    Args:
        root: what was pickled.
        error: what that raised.
        make_pickler: returns a fresh pickler of the same kind, whose output nobody wants.
    """
    try:
        steps, error = walk(root, error, make_pickler)
    except Exception:  # noqa: BLE001  # it calls user code, and a worse text is better than another error
        steps = [Step("", root)]
    steps, where = without_engine(steps)
    hint = hint_for(steps, error)
    text = f"{where}{path_text(steps)}: {reason_of(steps[-1].value, error)}" + (f"\n  hint: {hint}" if hint else "")
    return Explanation(text, error if comes_from_user_code(error) else None)


def heaviest(root: object, size_of: Callable[[object], int], make_pickler: MakePickler) -> str:
    """Return the path to the part that makes most of a pickle, and its size.

    Args:
        root: what was pickled.
        size_of: pickles a part; returns the bytes.
        make_pickler: as of `explain`.

    Raises:
        Exception: whatever the user's classes raise when they are pickled apart.
    """
    steps = [Step("", root)]
    seen = {id(root)}
    size = total = size_of(root)
    while len(steps) < MAX_STEPS and not is_data(steps):
        parts = [part for part in parts_of(steps[-1].value, make_pickler()) if id(part.value) not in seen]
        sized = [(size_of(part.value), part) for part in parts]
        largest, step = max(sized, key=itemgetter(0), default=(0, steps[-1]))
        if largest < total / 2:
            break
        size = largest
        seen.add(id(step.value))
        steps.append(step)
    steps, where = without_engine(steps)
    return f"{where}{path_text(steps)} is {size / 1e6:,.1f} of {total / 1e6:,.1f} MB"


def walk(root: object, error: BaseException, make_pickler: MakePickler) -> tuple[list[Step], BaseException]:
    """Go from the root to the smallest part that fails; returns the steps and what the last one raised."""
    steps = [Step("", root)]
    seen = {id(root): root}  # kept alive, or another object may get the id
    dead_end: tuple[list[Step], BaseException] | None = None
    for _ in range(MAX_ROUNDS):
        if not steps:
            break
        if len(steps) == MAX_STEPS or isinstance(error, MemoryError):
            return steps, error
        try:
            parts = list(islice(parts_of(steps[-1].value, make_pickler()), MAX_PARTS))
        except Exception:  # noqa: BLE001  # its own __reduce__ fails: that is the culprit
            return steps, error
        unseen = [part for part in parts if id(part.value) not in seen]
        found = first_failing(unseen, make_pickler)
        if found is not None:
            step, error = found
            seen[id(step.value)] = step.value
            steps.append(step)
        elif len(unseen) == len(parts):
            return steps, error
        else:  # it may fail only because it refers back to what is on the path: another part has the culprit
            dead_end = dead_end or (list(steps), error)
            steps.pop()
    return dead_end or (steps, error)


def first_failing(parts: list[Step], make_pickler: MakePickler) -> tuple[Step, BaseException] | None:
    """Return the first part that cannot be pickled; by halves, since a list may be long."""
    while parts:
        half = parts[: max(1, len(parts) // 2)]
        error = failure_of([part.value for part in half] if len(half) > 1 else half[0].value, make_pickler)
        if error is None:
            parts = parts[len(half) :]
        elif len(half) == 1:
            return half[0], error
        else:
            parts = half
    return None


def failure_of(value: object, make_pickler: MakePickler) -> BaseException | None:
    """Return what pickling raises, None if it works."""
    try:
        make_pickler().dump(value)
    except Exception as error:  # noqa: BLE001  # whatever a user's __reduce__ raises
        return error
    return None


def parts_of(value: Any, pickler: Any) -> Iterator[Step]:
    """Yield what the pickle of an object is made of, with names that the user knows."""
    if isinstance(value, FunctionType):
        yield from parts_of_function(value, pickler)
    elif isinstance(value, functools._lru_cache_wrapper):
        yield Step("its function", value.__wrapped__)
    elif isinstance(value, MethodType):
        yield Step("its object", value.__self__)
        yield Step("its function", value.__func__)
    elif isinstance(value, functools.partial):
        yield Step("its function", value.func)
        yield from (Step(f"argument {index}", part) for index, part in enumerate(value.args))
        yield from (Step(f"argument {name!r}", part) for name, part in value.keywords.items())
    elif type(value) is dict:
        yield from (Step(f"[{short(key)}]", part) for key, part in value.items())
        yield from (Step(f"key {short(key)}", key) for key in value)
    elif type(value) in CONTAINERS:
        yield from (Step(f"[{index}]", part) for index, part in enumerate(value))
    else:
        yield from parts_of_reduced(reduce(value, pickler))


def parts_of_function(function: FunctionType, pickler: Any) -> Iterator[Step]:
    """Yield what a function that travels by value takes along."""
    reduced = pickler.reducer_override(function)
    if not isinstance(reduced, tuple) or len(reduced) < 3:
        return
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield Step(f"captured variable {name!r}", cell.cell_contents)
        except ValueError:  # not assigned yet
            continue
    attributes, slots = reduced[2]
    yield from (Step(f"global {name!r}", part) for name, part in slots["__globals__"].items())
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    defaults = function.__defaults__ or ()
    for name, part in zip(names[len(names) - len(defaults) :], defaults, strict=True):
        yield Step(f"default of {name!r}", part)
    yield from (Step(f"default of {name!r}", part) for name, part in (function.__kwdefaults__ or {}).items())
    yield from (Step(f".{name}", part) for name, part in attributes.items())
    yield from (Step(f"annotation of {name!r}", part) for name, part in function.__annotations__.items())


def reduce(value: Any, pickler: Any) -> Any:
    """Return what the pickler would pickle in the place of an object."""
    reduced = pickler.reducer_override(value)
    if reduced is NotImplemented:
        reducer = pickler.dispatch_table.get(type(value)) or copyreg.dispatch_table.get(type(value))
        reduced = reducer(value) if reducer is not None else value.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    return reduced


def parts_of_reduced(reduced: Any) -> Iterator[Step]:
    """Yield the parts of what `__reduce_ex__` returned."""
    if not isinstance(reduced, tuple):
        return
    args, state, items, pairs = (*reduced[1:5], None, None, None, None)[:4]
    yield from parts_of_state(state)
    yield from (Step(f"[{index}]", part) for index, part in enumerate(items or ()))
    for key, part in pairs or ():
        yield Step(f"[{short(key)}]", part)
        yield Step(f"key {short(key)}", key)
    yield from (Step(f"constructor argument {index}", part) for index, part in enumerate(args or ()))


def parts_of_state(state: Any) -> Iterator[Step]:
    """Yield the attributes in an object's state."""
    if isinstance(state, dict):
        yield from (Step(f".{name}", part) for name, part in state.items())
    elif isinstance(state, tuple) and len(state) == 2 and all(isinstance(part, dict | None) for part in state):
        for attributes in state:
            yield from parts_of_state(attributes)
    elif isinstance(state, tuple) and len(state) == 2 and callable(state[0]):
        yield from parts_of_state(state[1])  # a class, see `closures.set_class_state`
    elif state is not None:
        yield Step("its state", state)


def without_engine(steps: list[Step]) -> tuple[list[Step], str]:
    """Begin the path at the user's function; returns it and where in the user's program that was used."""
    where = ""
    start = 0
    while start < len(steps) - 1 and is_engine(steps[start].value, is_inside=start > 0):
        state = steps[start].value
        if type(state) is dict and state.get("call_site"):  # a node's
            where = f"in {state.get('name')} at {state['call_site']}: "
        start += 1
    return steps[start:], where


def is_engine(value: Any, is_inside: bool) -> bool:
    """Whether an object is minispark's way of holding the user's, of which the user knows nothing."""
    module = value.__module__ if isinstance(value, FunctionType) else type(value).__module__
    is_ours = isinstance(value, Node) or str(module).startswith("minispark.")
    return is_ours or (is_inside and type(value) in CONTAINERS)


def is_data(steps: list[Step]) -> bool:
    """Whether the path has come to an atom, or to a container of the user's, whose elements need no telling apart."""
    users, _ = without_engine(steps)
    kind = type(users[-1].value)
    return kind in ATOMS or (kind in CONTAINERS and len(users) > 1)


def path_text(steps: list[Step]) -> str:
    """Write a path out."""
    return " → ".join([describe(steps[0].value), *shorten([step.label for step in steps[1:]])])


def describe(value: Any) -> str:
    """Name the object where the path begins."""
    if isinstance(value, MethodType):
        return f"method {value.__qualname__!r}{place_of(value.__func__)}"
    if isinstance(value, functools._lru_cache_wrapper):
        return describe(value.__wrapped__)
    if isinstance(value, FunctionType):
        name = "lambda" if value.__name__ == "<lambda>" else f"fn {value.__name__!r}"
        return name + place_of(value)
    if isinstance(value, type):
        return f"class {value.__qualname__!r}"
    return type_name(value)


def place_of(function: Any) -> str:
    """Return where a function was defined."""
    code = getattr(function, "__code__", None)
    return "" if code is None else f" ({PurePath(code.co_filename).name}:{code.co_firstlineno})"


def type_name(value: Any) -> str:
    """Return the name of an object's type as the user writes it."""
    cls = type(value)
    return cls.__qualname__ if cls.__module__ in {"builtins", "__main__"} else f"{cls.__module__}.{cls.__qualname__}"


def reason_of(culprit: Any, error: BaseException) -> str:
    """Say what is wrong with the culprit itself."""
    text = str(error)
    if isinstance(error, PicklingError):
        return text
    if is_recursion(error):
        return "it is nested too deeply to be pickled"
    said = f"{type_name(culprit)} cannot be pickled"
    if not text or text.startswith("cannot pickle '"):
        return said
    name = "" if isinstance(error, TypeError | AttributeError | pickle.PicklingError) else f"{type(error).__name__}: "
    return f"{said} ({name}{text[:TEXT_LENGTH]})"


def hint_for(steps: list[Step], error: BaseException) -> str:
    """Say what to do about it."""
    if isinstance(error, PicklingError):
        return ""
    if any(step.label == "captured variable 'self'" for step in steps) or isinstance(steps[0].value, MethodType):
        return HINT_SELF
    if is_recursion(error):
        return HINT_RECURSION
    name = type(steps[-1].value).__name__
    return next((hint for ends, hint in HINTS if name.endswith(ends)), HINT_DEFAULT)


def is_recursion(error: BaseException) -> bool:
    """Whether pickling failed by the depth of the object."""
    return isinstance(error, RecursionError) or isinstance(error.__cause__, RecursionError)


def comes_from_user_code(error: BaseException) -> bool:
    """Whether Python code below the pickler raised it: a `__reduce__` or `__getstate__` of the user's."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = "" if trace is None else str(trace.tb_frame.f_globals.get("__name__", ""))
    return not isinstance(error, PicklingError) and not module.startswith(("minispark.", "cloudpickle"))


def shorten(labels: list[str]) -> list[str]:
    """Leave out the middle of a long path."""
    if len(labels) <= SHOWN_STEPS:
        return labels
    return [*labels[: SHOWN_STEPS // 2], "…", *labels[-SHOWN_STEPS // 2 :]]


def short(value: object) -> str:
    """Return an object's repr, cut."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  # the user's __repr__
        text = f"<{type(value).__name__}>"
    return text if len(text) <= NAME_LENGTH else text[:NAME_LENGTH] + "…"
