"""Closures and values as they travel; those of a program's `__main__` between real processes."""

import functools
import json
import pickle
import re
import socket
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import MISSING, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import cloudpickle
import pytest

from minispark.errors import PicklingError
from minispark.rdd import closures
from minispark.rdd.node import Partition
from minispark.rdd.tasks import ResultTask
from tests.rdd.two_processes import Runner, result_task

SCRIPT = Path(__file__).with_name("main_script.py")
NO_CONTEXT = cast(Any, None)


@functools.cache
def importable(x: int) -> int:
    return x


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines())


def checks() -> list[str]:
    lines = SCRIPT.read_text().splitlines()
    return [after[4:].partition("(")[0] for line, after in pairwise(lines) if line == "@check"]


@pytest.mark.cluster
@pytest.mark.parametrize("check", checks())
def test_classes_of_main_travel(outcomes: dict[str, str], check: str) -> None:
    assert outcomes[check] == "ok"


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """A module that the runner cannot import, registered to travel by value."""
    (tmp_path / "shipped_words.py").write_text(
        "class Word(str):\n    def loud(self): return self.upper() + suffix()\ndef suffix(): return '!'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = __import__("shipped_words")
    cloudpickle.register_pickle_by_value(module)
    yield module
    cloudpickle.unregister_pickle_by_value(module)
    del sys.modules["shipped_words"]


@pytest.mark.cluster
def test_modules_that_are_shipped_by_value_need_not_be_importable(shipped: types.ModuleType) -> None:
    def louder(words: list[Any]) -> list[Any]:
        import shipped_words  # type: ignore[import-not-found]  # as users write it

        return [shipped_words.Word(word.loud() + shipped_words.suffix()) for word in words]

    with Runner() as runner:
        result = runner.run(louder, [shipped.Word("a")])

    assert result == ["A!!"]
    assert type(result[0]) is shipped.Word


def test_work_comes_back_as_work() -> None:
    factor = 3
    data = closures.dumps(result_task(lambda records: sum(records) * factor, [1, 2]))

    assert closures.loads(data).run(Partition(0), NO_CONTEXT) == 9


def test_what_every_process_can_import_is_pickled_alike_at_first_and_later() -> None:
    work = result_task(lambda records: sum(records))
    first, later = closures.dumps(work), closures.dumps(work)
    assert closures.own_names[id(ResultTask)] is ResultTask
    assert first == later
    assert closures.loads(later).function(NO_CONTEXT, [1, 2]) == 3


def test_any_unpickler_reads_what_dumps_wrote() -> None:
    assert pickle.loads(closures.dumps(result_task(len, [1]))).run(Partition(0), NO_CONTEXT) == 1
    assert pickle.loads(closures.dumps([lambda: 5]))[0]() == 5


def test_a_memoryview_is_read_too() -> None:
    assert closures.loads_value(memoryview(closures.dumps_value((1, "a")))) == (1, "a")


def test_values_are_pickled_by_reference() -> None:
    assert closures.dumps_value(Partition(3)) == pickle.dumps(Partition(3), 5)


def test_lambdas_and_local_classes_are_values_too() -> None:
    @dataclass
    class Local:
        x: int

    function, value = closures.loads_value(closures.dumps_value((lambda x: x + 1, Local(4))))

    assert function(1) == 2
    assert value == Local(4)


def test_cached_functions_keep_their_parameters() -> None:
    calls = []

    @functools.lru_cache(maxsize=7, typed=True)
    def twice(x: int) -> int:
        """Double."""
        calls.append(x)
        return 2 * x

    copy = pickle.loads(closures.dumps(twice))

    assert [copy(2), copy(2)] == [4, 4]
    assert copy.cache_info()[:3] == (1, 1, 7)
    assert copy.cache_parameters() == twice.cache_parameters()
    assert copy.__doc__ == "Double."
    assert not twice.cache_info().misses


def test_importable_cached_functions_travel_by_name() -> None:
    assert pickle.loads(closures.dumps(importable)) is importable


def test_loading_where_it_was_dumped_leaves_a_local_class_alone() -> None:
    class Local:
        count = 0

    method = Local.__init__
    data = closures.dumps(result_task(lambda _: Local.count))
    Local.count = 8

    assert closures.loads(data).run(Partition(0), NO_CONTEXT) == 8
    assert Local.__init__ is method


def test_a_field_without_default_stays_without() -> None:
    assert closures.loads_value(closures.dumps([MISSING, lambda: None]))[0] is MISSING


@pytest.mark.scenario("FAIL-002", "non-serialisable closure, job variant")
def test_a_closure_that_cannot_be_pickled_says_why() -> None:
    lock = threading.Lock()

    with pytest.raises(PicklingError, match=r"captured variable 'lock': _thread\.lock cannot be pickled\n  hint: "):
        closures.dumps(result_task(lambda _: lock))


def test_a_value_that_cannot_be_pickled_says_why() -> None:
    with pytest.raises(PicklingError, match=r"^dict → \['a'\] → \[1\]: _thread\.lock cannot be pickled"):
        closures.dumps_value({"a": [0, threading.Lock()]})


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: open(__file__), "_io.TextIOWrapper"),  # noqa: SIM115 — closed by the test
        (lambda: open(__file__, "rb"), "_io.BufferedReader"),  # noqa: SIM115 — closed by the test
        (lambda: memoryview(b"abc"), "memoryview"),
        (socket.socket, "socket.socket"),
        (threading.Lock, "_thread.lock"),
    ],
)
def test_values_do_not_become_something_else_on_the_way(make: Callable[[], Any], name: str) -> None:
    value = make()

    with pytest.raises(PicklingError, match=re.escape(f"list → [1] → ['it']: {name} cannot be pickled")):
        closures.dumps_value([len, {"it": value}])

    with suppress(AttributeError):
        value.close()


def test_a_function_may_take_a_copy_of_an_open_file_along() -> None:
    with open(__file__) as file:
        work = pickle.loads(closures.dumps(result_task(lambda _: file.readline())))

    assert work.run(Partition(0), NO_CONTEXT).startswith('"""Closures')


def test_activating_work_in_the_driver_does_nothing() -> None:
    closures.activate(result_task(len))

    assert closures.driver_modules is None


def test_the_answer_about_a_class_that_does_not_exist_is_no_error() -> None:
    assert pickle.loads(closures.class_content("__main__:NoSuchClass")) == (0, None, "")


def test_references_mean_the_classes_of_this_process(shipped: types.ModuleType) -> None:
    word = shipped.Word
    task = closures.loads(closures.dumps(result_task(lambda _: word)))

    assert task.run(Partition(0), NO_CONTEXT) is shipped.Word


def test_a_large_closure_is_told_once_for_each_line(caplog: pytest.LogCaptureFixture) -> None:
    table = dict.fromkeys(range(20_000), "x" * 100) | {"y": bytes(3_000_000)}
    work = result_task(lambda _: table)
    closures.warned_places.clear()

    closures.dumps(work)
    closures.dumps(work)

    (record,) = caplog.records
    assert "captured variable 'table' is 3.1 of 3.1 MB" in record.getMessage()
