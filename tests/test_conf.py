"""minispark.conf: keys, priorities, and errors that say what would be right."""

import pytest

from minispark.conf import SparkConf, settings
from minispark.errors import ConfigurationError
from minispark.setting import Setting


def plain() -> SparkConf:
    return SparkConf(environment={})


def test_a_setting_that_was_not_set_has_its_default() -> None:
    assert plain().task_max_failures == 4
    assert plain().get("minispark.task.maxFailures") is None
    assert plain().get("minispark.task.maxFailures", "9") == "9"


def test_set_calls_chain_and_values_are_typed() -> None:
    conf = plain().set("minispark.task.maxFailures", 7).set("minispark.shuffle.compress", False).set_app_name("x")

    assert (conf.task_max_failures, conf.shuffle_compress, conf.app_name) == (7, False, "x")
    assert conf.get("minispark.shuffle.compress") == "false"


def test_sparks_own_prefix_is_accepted_everywhere() -> None:
    conf = plain().set("spark.task.maxFailures", "2")

    assert conf.get_all() == [("minispark.task.maxFailures", "2")]
    assert conf.contains("spark.task.maxFailures")
    assert conf.unset("spark.task.maxFailures").task_max_failures == 4


def test_code_wins_over_the_environment_and_the_environment_over_the_default() -> None:
    environment = {"MINISPARK_TASK_MAXFAILURES": "5", "MINISPARK_LOCAL_DIR": "/tmp", "PATH": "/bin"}

    conf = SparkConf({"minispark.local.dir": "/data"}, environment=environment)

    assert (conf.task_max_failures, conf.local_dir) == (5, "/data")


def test_the_environment_of_another_process_can_say_the_same() -> None:
    conf = plain().set("minispark.task.maxFailures", 5).set("minispark.shuffle.compress", False)

    environment = conf.environment()

    assert environment == {"MINISPARK_TASK_MAXFAILURES": "5", "MINISPARK_SHUFFLE_COMPRESS": "false"}
    assert SparkConf(environment=environment).get_all() == conf.get_all()


@pytest.mark.parametrize(
    ("key", "value", "right"),
    [("task.maxFailures", "four", "a whole number"), ("task.maxFailures", 0, "a whole number"),
     ("shuffle.compress", "maybe", "true or false"), ("driver.maxResultSize", "1x", "a size in bytes"),
     ("rpc.askTimeout", "soon", "a duration"), ("executor.pool", "fibre", "one of process, thread, inline")],
)  # fmt: skip
def test_a_wrong_value_is_refused_at_once_and_the_error_says_what_is_right(
    key: str, value: object, right: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        plain().set(f"minispark.{key}", value)

    assert f"minispark.{key} = {str(value)!r} is not valid: {right}" in str(caught.value)


def test_an_unknown_key_is_refused_and_the_nearest_one_named() -> None:
    with pytest.raises(
        ConfigurationError, match=r"'minispark.task.maxFailure'; did you mean 'minispark.task.maxFailures'"
    ):
        plain().set("minispark.task.maxFailure", 4)


def test_none_is_not_a_value() -> None:
    with pytest.raises(ConfigurationError, match="use unset"):
        plain().set("minispark.task.maxFailures", None)


def test_set_if_missing_and_set_all_do_what_they_say() -> None:
    conf = plain().set_all({"minispark.task.cpus": 2, "minispark.app.name": "a"})

    assert conf.set_if_missing("minispark.task.cpus", 3).task_cpus == 2
    assert conf.set_if_missing("minispark.task.maxFailures", 3).task_max_failures == 3


def test_a_copy_is_independent() -> None:
    conf = plain().set_master("local[2]")

    conf.copy().set_master("local[4]")

    assert conf.master == "local[2]"


def test_every_setting_has_a_sentence_and_a_default_that_is_valid() -> None:
    for key, setting in settings().items():
        assert key.startswith("minispark.")
        assert setting.doc.endswith("."), key
        assert setting.check is None or setting.check(setting.default), key


def test_the_table_is_reached_by_attribute_too() -> None:
    assert isinstance(SparkConf.task_max_failures, Setting)
    assert SparkConf.task_max_failures.key == "minispark.task.maxFailures"
    assert repr(plain().set("minispark.task.cpus", 2)) == "SparkConf({'minispark.task.cpus': '2'})"


def test_a_wrong_value_in_the_environment_is_an_error_that_names_the_setting() -> None:
    with pytest.raises(ConfigurationError, match=r"minispark\.task\.maxFailures = 'x'"):
        SparkConf(environment={"MINISPARK_TASK_MAXFAILURES": "x"})


def test_a_key_that_is_near_to_none_is_not_guessed() -> None:
    with pytest.raises(ConfigurationError, match=r"did you mean 'minispark\.task\.maxFailures'"):
        SparkConf().set("minispark.task.maxFailure", 3)
    with pytest.raises(ConfigurationError, match=r"docs/configuration\.md lists them all"):
        SparkConf().set("nope", 3)
    with pytest.raises(ConfigurationError, match="is a text, not 5"):
        SparkConf().set(5, 5)  # type: ignore[arg-type]


def test_an_old_key_is_taken_with_a_warning_and_means_the_new_one() -> None:
    with pytest.warns(
        FutureWarning, match=r"blacklist\.enabled is the old name of minispark\.excludeOnFailure\.enabled"
    ):
        conf = SparkConf(environment={"MINISPARK_BLACKLIST_ENABLED": "true"})
    assert conf.get_all() == [("minispark.excludeOnFailure.enabled", "true")]
    assert conf.exclude_on_failure is True


def test_variables_of_executors_are_a_family_of_keys_with_names_in_their_own_case() -> None:
    conf = plain().set("spark.executorEnv.OMP_NUM_THREADS", 4).set("minispark.executorEnv.lower.case", "a = b")

    assert conf.executor_environment == {"OMP_NUM_THREADS": "4", "lower.case": "a = b"}
    assert conf.copy().unset("minispark.executorEnv.OMP_NUM_THREADS").executor_environment == {"lower.case": "a = b"}


@pytest.mark.parametrize("name", ["", "A=B", "A\0B"])
def test_a_name_that_no_variable_can_have_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"minispark\.executorEnv\.NAME is needed"):
        plain().set(f"minispark.executorEnv.{name}", "x")
