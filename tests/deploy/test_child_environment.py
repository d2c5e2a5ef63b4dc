"""What executors and drivers find in their environment."""

import sys

import pytest

from minispark.deploy.child_environment import PACKAGE_PARENT, child_environment, python_command


def test_what_is_meant_for_the_worker_alone_stays_there() -> None:
    own = {"MINISPARK_SECRET": "x", "MINISPARK_MASTER": "y", "NOTIFY_SOCKET": "z", "LISTEN_FDS": "1", "PATH": "/bin"}

    made = child_environment(own, {"MINISPARK_DRIVER_HOST": "host", "LANG": "C"})

    assert {name: made[name] for name in made.keys() - {"PYTHONPATH"}} == {
        "PATH": "/bin", "MINISPARK_DRIVER_HOST": "host", "LANG": "C", "PYTHONHASHSEED": "0",
    }  # fmt: skip


def test_the_hash_seed_is_the_same_everywhere() -> None:
    assert child_environment({"PYTHONHASHSEED": "7"}, {"PYTHONHASHSEED": "8"})["PYTHONHASHSEED"] == "0"


@pytest.mark.parametrize(("places", "path"), [([], f"{PACKAGE_PARENT}:/mine"), ([PACKAGE_PARENT], "/mine")])
def test_minispark_is_found_wherever_it_lies(monkeypatch: pytest.MonkeyPatch, places: list[str], path: str) -> None:
    monkeypatch.setattr("site.getsitepackages", lambda: places)

    assert child_environment({"PYTHONPATH": "/mine"}, {})["PYTHONPATH"] == path


def test_an_application_may_bring_its_interpreter() -> None:
    assert python_command("/opt/python", "-V") == ("/opt/python", "-V")
    assert python_command("", "-V") == (sys.executable, "-V")
