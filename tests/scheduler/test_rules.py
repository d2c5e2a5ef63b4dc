"""minispark.scheduler.rules: what the settings say of exclusion and speculation."""

import pytest

from minispark.conf import SparkConf
from minispark.errors import ConfigurationError
from minispark.scheduler.logic.exclusion import ExclusionRules
from minispark.scheduler.logic.health import HealthRules
from minispark.scheduler.logic.locality import LocalityWaits
from minispark.scheduler.logic.speculation import SpeculationRules
from minispark.scheduler.rules import exclusion_rules, health_rules, locality_waits, speculation_rules

LEGACY = "minispark.scheduler.executorTaskExcludeOnFailureTime"


def conf(**values: object) -> SparkConf:
    settings = SparkConf(environment={})
    for key, value in values.items():
        settings.set("minispark.excludeOnFailure." + key.replace("_", "."), value)
    return settings


def test_nothing_is_on_by_default() -> None:
    assert exclusion_rules(conf()) is None
    assert health_rules(conf()) is None
    assert speculation_rules(conf()) is None


def test_the_defaults_of_the_settings_are_those_of_the_rules() -> None:
    assert exclusion_rules(conf(enabled=True)) == ExclusionRules()
    assert health_rules(conf(enabled=True)) == HealthRules()
    assert speculation_rules(conf().set("minispark.speculation", True)) == SpeculationRules()


@pytest.mark.scenario("HT-007", "49252 application-level switch")
def test_the_switch_of_the_application_goes_before_the_general_one() -> None:
    settings = conf(enabled=True, taskAndStage_enabled=False)
    assert exclusion_rules(settings) is None
    assert health_rules(settings) is not None
    settings.set("minispark.excludeOnFailure.application.enabled", False)
    assert health_rules(settings) is None
    settings.set("minispark.excludeOnFailure.application.enabled", True)
    settings.set("minispark.excludeOnFailure.enabled", False)
    assert health_rules(settings) is not None


@pytest.mark.scenario("HT-007", "legacy keys")
def test_the_first_key_of_exclusion_turns_it_on_and_says_for_how_long() -> None:
    settings = conf().set(LEGACY, "5s")
    rules = health_rules(settings)
    assert rules is not None
    assert rules.timeout_s == 5.0
    assert exclusion_rules(settings) is not None
    settings.set("minispark.excludeOnFailure.timeout", "1s")
    assert health_rules(settings) == HealthRules(timeout_s=1.0)
    settings.set(LEGACY, 0)
    assert health_rules(settings) is None
    settings.set("minispark.excludeOnFailure.enabled", True)
    assert health_rules(settings) == HealthRules(timeout_s=1.0)


@pytest.mark.scenario("HT-007", "legacy keys")
@pytest.mark.parametrize(
    ("old", "new", "value"),
    [("blacklist.enabled", "excludeOnFailure.enabled", "true"),
     ("blacklist.timeout", "excludeOnFailure.timeout", "5s"),
     ("scheduler.executorTaskBlacklistTime", "scheduler.executorTaskExcludeOnFailureTime", "5s"),
     ("blacklist.killBlacklistedExecutors", "excludeOnFailure.killExcludedExecutors", "true"),
     ("blacklist.task.maxTaskAttemptsPerNode", "excludeOnFailure.task.maxTaskAttemptsPerNode", "3")],
)  # fmt: skip
def test_the_keys_of_the_black_list_are_taken_with_a_warning(old: str, new: str, value: str) -> None:
    with pytest.warns(FutureWarning, match=f"spark.{old} is the old name of minispark.{new}"):
        settings = conf().set(f"spark.{old}", value)
    assert settings.get_all() == [(f"minispark.{new}", value)]


@pytest.mark.scenario("HT-007", "invariants (positive values, node attempts < max task failures)")
@pytest.mark.parametrize(
    "key",
    ["task.maxTaskAttemptsPerExecutor", "task.maxTaskAttemptsPerNode", "stage.maxFailedTasksPerExecutor",
     "stage.maxFailedExecutorsPerNode", "application.maxFailedTasksPerExecutor",
     "application.maxFailedExecutorsPerNode", "timeout"],
)  # fmt: skip
def test_counts_and_the_timeout_are_positive(key: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"minispark\.excludeOnFailure\.{key} = '0' is not valid"):
        conf().set(f"minispark.excludeOnFailure.{key}", 0)


@pytest.mark.scenario("HT-007", "invariants (positive values, node attempts < max task failures)")
@pytest.mark.parametrize("attempts", [2, 3])
def test_a_task_must_be_able_to_leave_a_host_before_it_is_given_up(attempts: int) -> None:
    settings = conf(enabled=True, task_maxTaskAttemptsPerNode=attempts).set("minispark.task.maxFailures", 2)
    for read in (exclusion_rules, health_rules):
        with pytest.raises(ConfigurationError, match=r"maxTaskAttemptsPerNode = \d must be below .*maxFailures = 2"):
            read(settings)
    settings.set("minispark.excludeOnFailure.enabled", False)
    assert exclusion_rules(settings) is None
    settings.set("minispark.excludeOnFailure.enabled", True).set("minispark.task.maxFailures", attempts + 1)
    assert exclusion_rules(settings) is not None


def test_each_level_of_locality_has_its_own_wait_or_the_general_one() -> None:
    settings = conf().set("minispark.locality.wait", "5s").set("minispark.locality.wait.node", "1s")
    assert locality_waits(settings) == LocalityWaits(5.0, 1.0, 5.0)
    settings.set("minispark.locality.wait.process", 0).set("minispark.locality.wait.rack", "2s")
    assert locality_waits(settings) == LocalityWaits(0.0, 1.0, 2.0)
    assert locality_waits(conf().set("minispark.locality.wait.legacyResetOnTaskLaunch", True)).legacy_reset
