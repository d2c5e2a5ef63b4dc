"""The driver's register of classes, with a module made by hand."""

import pickle
import sys
import types
from collections.abc import Iterator
from typing import Any

import cloudpickle
import pytest

from minispark.errors import PicklingError
from minispark.rdd.main_classes import KEPT_VERSIONS, Captured, MainClasses, is_shipped_by_value


class Pickler:
    """Counts; fails for names that hold "Bad"."""

    def __init__(self) -> None:
        self.pickled: list[tuple[str, int]] = []
        self.captured: list[Captured] = []

    def __call__(self, value: Any, name: str, version: int) -> tuple[bytes, list[Captured]]:
        self.pickled.append((name, version))
        if "Bad" in name:
            raise PicklingError(f"{name} cannot be pickled")
        return f"{name} {version}".encode(), self.captured


@pytest.fixture
def module() -> Iterator[Any]:
    made = types.ModuleType("made_by_hand")
    sys.modules["made_by_hand"] = made
    cloudpickle.register_pickle_by_value(made)
    yield made
    cloudpickle.unregister_pickle_by_value(made)
    del sys.modules["made_by_hand"]


@pytest.fixture
def pickler() -> Pickler:
    return Pickler()


@pytest.fixture
def classes(pickler: Pickler) -> MainClasses:
    return MainClasses(pickler)


def define(module: Any, name: str, **members: Any) -> type:
    cls = type(name, (), {"__module__": module.__name__, **members})
    setattr(module, name, cls)
    return cls


def test_a_class_is_pickled_once(classes: MainClasses, pickler: Pickler, module: Any) -> None:
    cls = define(module, "A")

    for _ in range(3):
        classes.refresh()
        assert classes.reference(cls) == ("made_by_hand:A", 1)
        classes.pickle_pending()

    assert pickler.pickled == [("made_by_hand:A", 1)]
    assert classes.versions() == {"made_by_hand:A": 1}
    assert pickle.loads(classes.content("made_by_hand:A@1")) == (1, b"made_by_hand:A 1", "")


def test_other_objects_are_not_referred_to(classes: MainClasses, module: Any) -> None:
    hidden = define(module, "A")
    del module.A

    assert [classes.reference(value) for value in (hidden, int, len, 3)] == [None] * 4


def test_a_redefined_class_gets_a_new_version(classes: MainClasses, module: Any) -> None:
    before = define(module, "A")
    classes.reference(before)
    classes.pickle_pending()
    after = define(module, "A")
    classes.refresh()
    classes.pickle_pending()

    assert classes.reference(before) == ("made_by_hand:A", 1)
    assert classes.reference(after) == ("made_by_hand:A", 2)
    assert classes.resolve("made_by_hand:A", 1) is before
    assert classes.resolve("made_by_hand:A", 2) is after
    assert pickle.loads(classes.content("made_by_hand:A@1"))[0] == 1
    assert pickle.loads(classes.content("made_by_hand:A"))[0] == 2


@pytest.mark.parametrize("change", [{"x": 2}, {"y": 1}], ids=["an attribute", "a new attribute"])
def test_a_changed_attribute_is_a_new_version(classes: MainClasses, module: Any, change: dict[str, int]) -> None:
    cls = define(module, "A", x=1)
    classes.reference(cls)
    classes.pickle_pending()
    for name, value in change.items():
        setattr(cls, name, value)
    classes.refresh()

    assert classes.reference(cls) == ("made_by_hand:A", 2)


def test_a_rebound_global_is_a_new_version(classes: MainClasses, pickler: Pickler, module: Any) -> None:
    module.limit = "old"
    pickler.captured = [Captured(vars(module), "limit", module.limit)]
    classes.reference(define(module, "A"))
    classes.pickle_pending()
    classes.refresh()
    unchanged = classes.versions()
    module.limit = "new"
    classes.refresh()

    assert unchanged == {"made_by_hand:A": 1}
    assert classes.versions() == {"made_by_hand:A": 2}


def test_versions_are_bounded(classes: MainClasses, module: Any) -> None:
    for _ in range(3 * KEPT_VERSIONS):
        classes.reference(define(module, "A"))
        classes.refresh()
        classes.pickle_pending()

    assert len(classes.definitions["made_by_hand:A"]) == KEPT_VERSIONS
    assert len(classes.names) == KEPT_VERSIONS
    assert pickle.loads(classes.content("made_by_hand:A@1"))[0] == 3 * KEPT_VERSIONS  # better than nothing


def test_classes_that_only_data_mention_are_defined_when_asked_for(classes: MainClasses, module: Any) -> None:
    define(module, "A", Inner=define(module, "Inner"))

    assert pickle.loads(classes.content("made_by_hand:A.Inner")) == (1, b"made_by_hand:A.Inner 1", "")
    assert classes.versions() == {"made_by_hand:A.Inner": 1}


def test_a_class_that_cannot_be_pickled_fails_every_time(classes: MainClasses, pickler: Pickler, module: Any) -> None:
    good, bad = define(module, "Good"), define(module, "Bad")
    for _ in range(2):
        classes.reference(bad)
        classes.reference(good)
        with pytest.raises(PicklingError, match="Bad cannot be pickled"):
            classes.pickle_pending()
        assert classes.versions() == {}  # the good one may refer to the bad one
        assert not classes.names

    assert pickle.loads(classes.content("made_by_hand:Bad")) == (0, None, "made_by_hand:Bad cannot be pickled")


def test_what_a_failed_closure_mentioned_is_discarded(classes: MainClasses, pickler: Pickler, module: Any) -> None:
    classes.reference(define(module, "A"))
    classes.discard_pending()
    classes.pickle_pending()

    assert pickler.pickled == []
    assert classes.versions() == {}


def test_only_the_modules_of_the_driver_are_served(classes: MainClasses) -> None:
    assert pickle.loads(classes.content("os:getcwd")) == (0, None, "")
    assert pickle.loads(classes.content("made_by_hand:A")) == (0, None, "")


def test_a_reference_to_nothing_is_a_lookup_error(classes: MainClasses) -> None:
    with pytest.raises(LookupError, match="nowhere:A is not defined in the driver"):
        classes.resolve("nowhere:A", 1)


def test_packages_cover_their_modules(module: Any) -> None:
    names = ["__main__", "made_by_hand", "made_by_hand.part", "made_by_hands"]

    assert [is_shipped_by_value(name) for name in names] == [True, True, True, False]
