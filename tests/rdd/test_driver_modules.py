"""The driver's modules as a runner sees them, without putting them in the place of this process's own."""

import pickle
import sys
from collections.abc import Callable
from typing import Any

import pytest

from minispark.errors import PicklingError
from minispark.rdd.driver_modules import KEPT_VERSIONS, DriverModuleFinder, DriverModules, Known


class Driver:
    """Answers with the request itself as the definition; versions by name."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.newest = 1
        self.answers: dict[str, tuple[int, bytes | None, str]] = {}

    def __call__(self, request: str) -> bytes:
        self.asked.append(request)
        name, _, version = request.partition("@")
        number = int(version or self.newest)
        return pickle.dumps(self.answers.get(name, (number, pickle.dumps(f"{name} {number}"), "")))


def known(**versions: int) -> Known:
    return Known({f"__main__:{name}": version for name, version in versions.items()}, frozenset())


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def modules(driver: Driver) -> DriverModules:
    return DriverModules(driver)


def test_a_name_is_asked_for_once(modules: DriverModules, driver: Driver) -> None:
    main: Any = modules.make_module("__main__")

    assert main.Point == main.Point == "__main__:Point 1"
    assert modules.resolve("__main__:Point", 1) == main.Point
    assert driver.asked == ["__main__:Point"]


def test_names_that_python_itself_looks_for_are_not_asked_for(modules: DriverModules, driver: Driver) -> None:
    main = modules.make_module("__main__")

    assert not hasattr(main, "__path__")
    assert not hasattr(main, "<lambda>")
    assert driver.asked == []


def test_a_name_that_the_driver_does_not_have_is_an_attribute_error(modules: DriverModules, driver: Driver) -> None:
    driver.answers["__main__:nothing"] = (0, None, "")

    with pytest.raises(AttributeError, match="'__main__' of the driver has no attribute 'nothing'"):
        modules.find("__main__:nothing")


def test_a_definition_that_cannot_be_pickled_says_why(modules: DriverModules, driver: Driver) -> None:
    driver.answers["__main__:Bad"] = (0, None, "class 'Bad' → .lock: _thread.lock cannot be pickled")

    with pytest.raises(PicklingError, match=r"class 'Bad' → \.lock"):
        modules.find("__main__:Bad")


def test_work_of_before_and_after_a_redefinition_sees_its_own_version(modules: DriverModules, driver: Driver) -> None:
    main: Any = modules.make_module("__main__")
    seen = []
    for version in (1, 2, 1, 2):
        modules.activate(known(Point=version))
        seen.append(main.Point)

    assert seen == ["__main__:Point 1", "__main__:Point 2"] * 2
    assert driver.asked == ["__main__:Point@1", "__main__:Point@2"]


def test_what_came_from_the_driver_has_a_reference(modules: DriverModules) -> None:
    value = modules.resolve("__main__:Point", 3)

    assert modules.reference(value) == ("__main__:Point", 3)
    assert modules.reference(object()) is None


def test_a_nested_class_is_not_an_attribute_of_the_module(modules: DriverModules) -> None:
    main = modules.make_module("__main__")
    modules.resolve("__main__:Outer.Inner", 1)

    assert "Outer.Inner" not in vars(main)


def load_half() -> None:
    in_loading[0].publish("__main__:Point", 1, "a class without its methods")
    raise KeyboardInterrupt


class Interrupted:
    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return load_half, ()


in_loading: list[DriverModules] = []


def test_after_an_interrupted_load_it_is_asked_for_again(modules: DriverModules, driver: Driver) -> None:
    main: Any = modules.make_module("__main__")
    in_loading[:] = [modules]
    driver.answers["__main__:Point"] = (1, pickle.dumps(Interrupted()), "")
    with pytest.raises(KeyboardInterrupt):
        modules.resolve("__main__:Point", 1)
    del driver.answers["__main__:Point"]

    assert modules.resolve("__main__:Point", 1) == "__main__:Point 1"
    assert main.Point == "__main__:Point 1"


def test_versions_are_bounded(modules: DriverModules) -> None:
    for version in range(1, 3 * KEPT_VERSIONS):
        modules.resolve("__main__:Point", version)

    assert len(modules.held["__main__:Point"]) == KEPT_VERSIONS
    assert len(modules.references) == KEPT_VERSIONS


def test_modules_of_the_driver_come_before_files_of_their_name(
    modules: DriverModules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "meta_path", [DriverModuleFinder(modules), *sys.meta_path])
    imported = modules.make_module("this_one_was_imported_here")
    monkeypatch.setitem(sys.modules, "this", imported)
    modules.modules.clear()
    modules.activate(Known({}, frozenset({"this", "no_such_package.part"})))

    assert __import__("this").anything == "this:anything 1"
    assert sys.modules["this"] is not imported
    assert __import__("no_such_package.part").part.thing == "no_such_package.part:thing 1"
    for name in ("no_such_package", "no_such_package.part"):
        del sys.modules[name]
