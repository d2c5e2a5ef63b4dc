import pytest

from minispark.errors import ConfigurationError
from minispark.rpc.logic.address import RpcAddress
from minispark.scheduler.logic.master_url import (
    ClusterMaster,
    ExternalMaster,
    LocalClusterMaster,
    LocalMaster,
    MasterUrl,
    check_task_cpus,
    max_failures,
    parse_master,
)

CLUSTER = ClusterMaster((RpcAddress("m", 7077),))


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


@pytest.mark.scenario("CTX-011", "local-cluster")
def test_a_local_cluster_says_workers_cores_and_memory() -> None:
    made = LocalClusterMaster(3, 2, 1024 << 20)
    assert parse_master("local-cluster[3,2,1024]", available_cores=8) == made
    assert parse_master(" local-cluster[ 3 , 2 , 1024 ] ", available_cores=8) == made


@pytest.mark.scenario("CTX-011", "local-cluster")
@pytest.mark.parametrize("url", ["local-cluster[3,2,0]", "local-cluster[*,2,1024]", "local-cluster[0,2,1024]"])
def test_a_bad_number_of_a_local_cluster_is_named(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is not a number of at least 1: use .*local-cluster\[N,C,M\]"):
        parse_master(url, available_cores=8)


@pytest.mark.scenario("DIS-001", "cluster url format")
@pytest.mark.parametrize("url", ["local-cluster[2]", "local-cluster[2,1]", "local-cluster", "local-cluster[1,2,3,4]"])
def test_a_local_cluster_needs_three_numbers(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is not a master URL: use .*local-cluster\[N,C,M\]"):
        parse_master(url, available_cores=8)


@pytest.mark.parametrize("scheme", ["minispark", "spark"])
def test_a_cluster_may_have_several_masters(scheme: str) -> None:
    found = parse_master(f"{scheme}://one:7077,[::1]:7078", available_cores=8)
    assert found == ClusterMaster((RpcAddress("one", 7077), RpcAddress("::1", 7078)))


@pytest.mark.scenario("HIS-006", "ExternalClusterManager")
def test_another_scheme_is_a_master_if_a_manager_is_there_for_it() -> None:
    assert parse_master("K8s://host/x", 8, "k8s".__eq__) == ExternalMaster("k8s")
    assert parse_master("minispark://one:7077", 8, lambda scheme: True) == ClusterMaster((RpcAddress("one", 7077),))
    with pytest.raises(ConfigurationError, match="is not a master URL"):
        parse_master("yarn://host", 8, "k8s".__eq__)


@pytest.mark.parametrize("url", ["minispark://", "minispark://host", "spark://a:1,b", "minispark://host:x"])
def test_the_address_of_a_master_needs_host_and_port(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is not host:port: use"):
        parse_master(url, available_cores=8)


@pytest.mark.parametrize(
    ("target", "setting", "failures"),
    [
        (LocalMaster(2), None, 1),
        (LocalMaster(2), 7, 7),
        (LocalMaster(2, 3), 7, 3),
        (CLUSTER, None, 4),
        (CLUSTER, 7, 7),
        (LocalClusterMaster(1, 1, 1), None, 4),
    ],
)
def test_the_master_says_how_often_a_task_may_fail(target: MasterUrl, setting: int | None, failures: int) -> None:
    assert max_failures(target, setting) == failures


@pytest.mark.scenario("CTX-008", "cpus per task sanity")
@pytest.mark.parametrize(
    ("target", "executor_cores"), [(LocalMaster(1), 8), (LocalClusterMaster(2, 1, 1), 0), (CLUSTER, 1)]
)
def test_a_task_that_fits_into_no_executor_is_refused(target: MasterUrl, executor_cores: int) -> None:
    check_task_cpus("url", target, 1, executor_cores)
    with pytest.raises(ConfigurationError, match=r"minispark.task.cpus = 2 is more than the 1 cores of url"):
        check_task_cpus("url", target, 2, executor_cores)


def test_a_cluster_whose_executors_have_any_number_of_cores_takes_every_task() -> None:
    check_task_cpus("url", CLUSTER, 64, 0)
    with pytest.raises(ConfigurationError):
        check_task_cpus("url", CLUSTER, 64, 63)
