import pytest

from minispark.errors import ConfigurationError
from minispark.scheduler.logic.master_url import LocalMaster, parse_master


@pytest.mark.parametrize(
    ("url", "master"),
    [
        pytest.param("local", LocalMaster(1), marks=pytest.mark.scenario("CTX-011", "local")),
        pytest.param("local[*]", LocalMaster(8), marks=pytest.mark.scenario("CTX-011", "local[*]")),
        pytest.param("local[3]", LocalMaster(3), marks=pytest.mark.scenario("CTX-011", "local[n]")),
        pytest.param("local[*,4]", LocalMaster(8, 4), marks=pytest.mark.scenario("CTX-011", "local[*,f]")),
        pytest.param("local[2, 5]", LocalMaster(2, 5), marks=pytest.mark.scenario("CTX-011", "local[n,f]")),
        (" local[1] ", LocalMaster(1)),
    ],
)
def test_the_forms_of_a_local_master(url: str, master: LocalMaster) -> None:
    assert parse_master(url, available_cores=8) == master


@pytest.mark.scenario("CTX-011", "bad")
@pytest.mark.parametrize("url", ["", "lokal", "local[", "local[2", "yarn", "local[2]x", "mesos://host"])
def test_what_is_no_master_url_is_refused_and_the_forms_are_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"use local, local\[N\]"):
        parse_master(url, available_cores=8)


@pytest.mark.scenario("CTX-011", "bad n")
@pytest.mark.parametrize("url", ["local[0]", "local[-1]", "local[two]", "local[]", "local[1.5]", "local[² ]"])
def test_a_bad_number_of_tasks_is_named(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a number of at least 1"):
        parse_master(url, available_cores=8)


@pytest.mark.scenario("CTX-011", "bad f")
@pytest.mark.parametrize("url", ["local[2,0]", "local[*,x]", "local[2,]"])
def test_a_bad_number_of_failures_is_named(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a number of at least 1"):
        parse_master(url, available_cores=8)


def test_more_runners_than_a_machine_can_have_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="at most 1024"):
        parse_master("local[99999999]", available_cores=8)
