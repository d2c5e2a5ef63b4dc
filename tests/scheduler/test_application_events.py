import pytest

from minispark import __version__
from minispark.conf import SparkConf
from minispark.context import SparkContext
from minispark.errors import ConfigurationError
from minispark.messages.listener import (
    ApplicationEnd,
    ApplicationStart,
    EnvironmentUpdate,
    ExecutorJoined,
    ListenerEvent,
)
from minispark.scheduler.application_events import extra_listeners, opening_events
from tests.contexts import run_inline

HERE = "tests.scheduler.test_application_events"


class Kept:
    """A listener that the settings can name; keeps what all of its kind saw."""

    events: list[ListenerEvent] = []  # noqa: RUF012 — shared on purpose

    def on_event(self, event: ListenerEvent) -> None:
        self.events.append(event)


class Deaf:
    """No listener."""


def conf_with(names: str) -> SparkConf:
    return SparkConf().set("minispark.extraListeners", names)


@pytest.mark.scenario("HIS-006", "SparkListener")
def test_listeners_that_the_settings_name_hear_of_the_application_from_start_to_end() -> None:
    async def scenario(sc: SparkContext) -> str:
        await sc.parallelize([1], 1).count()
        return sc.application_id

    Kept.events.clear()
    application_id = run_inline(scenario, extraListeners=f"{HERE}:Kept")

    environment, start, executor, *others = Kept.events
    assert isinstance(environment, EnvironmentUpdate)
    assert environment.settings["minispark.executor.pool"] == "inline"
    assert isinstance(start, ApplicationStart)
    assert start.application_id == application_id
    assert isinstance(executor, ExecutorJoined)
    assert (executor.executor_id, executor.cores) == ("driver", 2)
    assert [type(event).__name__ for event in others][:2] == ["JobStart", "StageSubmitted"]
    assert isinstance(others[-1], ApplicationEnd)


def test_several_listeners_can_be_named_and_none_need_be() -> None:
    assert extra_listeners(SparkConf()) == []
    assert [type(each) for each in extra_listeners(conf_with(f"{HERE}:Kept, {HERE}:Kept,"))] == [Kept, Kept]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no.such.module:Listener", "ModuleNotFoundError"),
        (f"{HERE}:Missing", "AttributeError"),
        (HERE, "module:Class is needed"),
        (f"{HERE}:conf_with", "TypeError"),
        (f"{HERE}:Deaf", "has no method on_event"),
    ],
)
def test_what_is_no_listener_is_refused_by_name(name: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as refused:
        extra_listeners(conf_with(name))

    assert name in str(refused.value)


def test_the_opening_tells_versions_and_settings() -> None:
    environment, start = opening_events(SparkConf().set_app_name("etl"), "app-1", 12.5)

    assert isinstance(environment, EnvironmentUpdate)
    assert environment.minispark == __version__
    assert environment.settings["minispark.app.name"] == "etl"
    assert start == ApplicationStart("app-1", "etl", 12.5)
