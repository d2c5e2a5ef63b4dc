"""The path from the user's function to what cannot be pickled."""

import functools
import io
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import cloudpickle
import pytest

from minispark.errors import PicklingError
from minispark.ids import RddId
from minispark.rdd import closures
from minispark.rdd.narrow import MapNode
from minispark.rdd.node import Origin
from minispark.rdd.pickle_diagnosis import heaviest
from minispark.rdd.tasks import ResultTask
from tests.rdd.two_processes import Records


class Session:
    def __init__(self) -> None:
        self._lock = threading.Lock()


class Client:
    def __init__(self) -> None:
        self._session = Session()


class Rdd:
    def __reduce__(self) -> str:
        raise PicklingError("an RDD cannot be used inside a task: collect or join it")


class Broken:
    def __getstate__(self) -> object:
        raise ValueError("the connection is closed")


class Model:
    def __init__(self) -> None:
        self.factor = 2
        self.pool = threading.RLock()

    def scaler(self) -> Callable[[int], int]:
        return lambda x: x * self.factor

    def scale(self, x: int) -> int:
        return x * self.factor


def numbers() -> Iterator[int]:
    yield 1


def error_of(function: Any) -> PicklingError:
    """Return the error of pickling a job over `map(function)`."""
    node: MapNode[Any, Any] = MapNode(Origin(RddId(1), "map", "app.py:30"), Records(), function)
    with pytest.raises(PicklingError) as caught:
        closures.dumps(ResultTask(node, len))  # type: ignore[arg-type]
    return caught.value


def path_of(function: Any) -> str:
    return str(error_of(function)).partition("\n")[0]


def test_the_path_goes_from_the_function_to_the_lock() -> None:
    client = Client()

    def score(x: int) -> tuple[int, Client]:
        return x, client

    path = path_of(score)

    assert path.startswith("in map at app.py:30: fn 'score' (test_pickle_diagnosis.py:")
    assert path.endswith(" → captured variable 'client' → ._session → ._lock: _thread.lock cannot be pickled")


def test_globals_are_named() -> None:
    scope: dict[str, Any] = {"client": Client(), "__name__": "__main__"}
    exec("def helper(x): return client\ndef score(x): return helper(x)", scope)

    assert " → global 'helper' → global 'client' → ._session → ._lock: _thread.lock" in path_of(scope["score"])


def test_containers_show_their_keys_and_places() -> None:
    data = {"a": [1, ({"b"}, Session())]}

    assert " → captured variable 'data' → ['a'] → [1] → [1] → ._lock: _thread.lock" in path_of(lambda _: data)


def test_defaults_partials_and_methods_are_named() -> None:
    def score(x: int, client: Client = Client()) -> Client:  # noqa: B008 — what users write
        return client

    assert " → default of 'client' → ._session" in path_of(score)
    assert "test_pickle_diagnosis.Client → ._session" in path_of(functools.partial(print, Client()))
    assert ": method 'Model.scale' (test_pickle" in path_of(Model().scale)


def test_attributes_of_a_class_are_named() -> None:
    class Locked:
        lock = threading.Lock()

    assert " → captured variable 'Locked' → .lock: _thread.lock" in path_of(lambda _: Locked())


def test_an_rdd_says_itself_what_is_wrong() -> None:
    rdd = Rdd()

    error = str(error_of(lambda _: rdd))

    assert error.endswith(" → captured variable 'rdd': an RDD cannot be used inside a task: collect or join it")


def test_what_user_code_raised_is_the_cause() -> None:
    broken = Broken()

    error = error_of(lambda _: broken)

    assert "Broken cannot be pickled (ValueError: the connection is closed)" in str(error)
    assert isinstance(error.__cause__, ValueError)


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (numbers, "turn it into a list"),
        (lambda: open(__file__, "a"), "open the file inside the function"),  # noqa: SIM115 — closed by the test
        (threading.Lock, "once per partition"),
        (socket.socket, "once per partition"),
    ],
    ids=["generator", "file", "lock", "socket"],
)
def test_the_hint_fits_the_culprit(make: Callable[[], Any], hint: str) -> None:
    thing = make()
    try:
        assert hint in str(error_of(lambda _: thing)).partition("hint: ")[2]
    finally:
        if hasattr(thing, "close"):
            thing.close()


def test_functions_that_use_self_are_told_so() -> None:
    assert "copy what it needs into a local variable" in str(error_of(Model().scaler()))
    assert "copy what it needs into a local variable" in str(error_of(Model().scale))


def test_too_deep_a_nesting_is_named() -> None:
    deep: Any = None
    for _ in range(5_000):
        deep = [deep]

    path = path_of(lambda _: deep)

    assert path.endswith("it is nested too deeply to be pickled")
    assert len(path) < 300


def test_cycles_end() -> None:
    loop: list[Any] = [1]
    loop.append({"again": loop, "lock": threading.Lock()})

    assert path_of(lambda _: loop).endswith("→ ['lock']: _thread.lock cannot be pickled")


def test_a_culprit_at_the_end_of_a_long_list_is_found_by_halves() -> None:
    records: list[Any] = [*range(20_000), threading.Lock()]

    assert " → captured variable 'records' → [20000]: _thread.lock" in path_of(lambda _: records)


class LockedProperty:
    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self.lock = threading.Lock()


def test_a_part_that_only_refers_back_to_the_whole_is_not_the_culprit() -> None:
    class Model:
        def bump(self) -> object:
            return Model

        factor = LockedProperty(len)

    assert path_of(lambda x: (x, Model)).endswith(
        "captured variable 'Model' → .factor → .lock: _thread.lock cannot be pickled"
    )


def test_a_cached_function_is_named_as_the_function_is() -> None:
    lock = threading.Lock()

    @functools.cache
    def guarded(x: int) -> object:
        return x, lock

    path = path_of(guarded)

    assert path.startswith("in map at app.py:30: fn 'guarded' (test_pickle_diagnosis.py:")
    assert path.endswith("its function → captured variable 'lock': _thread.lock cannot be pickled")


def test_the_path_to_what_is_large_ends_at_an_atom() -> None:
    large = bytes(1000)

    path = heaviest(
        lambda: large, lambda part: len(cloudpickle.dumps(part)), lambda: cloudpickle.Pickler(io.BytesIO())
    )

    assert path.endswith("captured variable 'large' is 0.0 of 0.0 MB")
