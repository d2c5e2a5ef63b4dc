import pytest

from minispark.cluster_mode import ClusterMode, executor_limit, own_host
from minispark.conf import SparkConf
from minispark.errors import ConfigurationError, MiniSparkError
from minispark.ids import ExecutorId
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.secrets import CLUSTER_REALM, application_secret
from minispark.scheduler.logic.master_url import ClusterMaster, LocalClusterMaster
from minispark.testing.memory_network import MemoryNetwork
from minispark.testing.virtual_loop import VirtualWorld, run_virtual

MASTER = RpcAddress("127.0.0.1", 7077)
FAR = RpcAddress("10.0.0.1", 7077)
SECRET = "a secret of sixteen bytes"


class Cut(VirtualWorld):
    """A world without a way out."""

    def host_towards(self, address: RpcAddress) -> str:
        raise OSError(f"no route to {address.host}")


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINISPARK_SECRET", SECRET)


def mode(conf: SparkConf | None = None, master: RpcAddress = MASTER) -> ClusterMode:
    return ClusterMode(conf or SparkConf(), VirtualWorld(1, MemoryNetwork()), ClusterMaster((master,)))


def test_the_drivers_env_listens_with_a_secret_of_its_application() -> None:
    async def scenario() -> None:
        made = mode(SparkConf({"minispark.driver.port": 4711}))
        env = await made.open_env()
        assert env.address == RpcAddress("127.0.0.1", 4711)
        assert env.secrets == {
            made.realm: application_secret(SECRET.encode(), made.realm),
            CLUSTER_REALM: SECRET.encode(),
        }
        assert env.realms == {MASTER: CLUSTER_REALM}
        assert not made.is_local
        await env.close()

    run_virtual(scenario())


@pytest.mark.parametrize(
    ("settings", "bound", "told"),
    [
        ({}, "10.0.0.9", "10.0.0.9"),
        ({"minispark.driver.host": "driver.example"}, "driver.example", "driver.example"),
        ({"minispark.driver.host": "d", "minispark.driver.bindAddress": "0.0.0.0"}, "0.0.0.0", "d"),
    ],
)
def test_executors_are_told_the_host_that_is_set_or_on_the_way_to_the_master(
    settings: dict[str, object], bound: str, told: str
) -> None:
    async def scenario() -> None:
        network = MemoryNetwork()
        made = ClusterMode(SparkConf(settings), VirtualWorld(1, network, "10.0.0.9"), ClusterMaster((FAR,)))
        env = await made.open_env()
        assert env.address is not None
        assert (env.address.host, [each.host for each in network.listeners]) == (told, [bound])
        await env.close()

    run_virtual(scenario())


def test_without_a_way_to_the_master_the_host_must_be_set() -> None:
    with pytest.raises(ConfigurationError, match=r"no way to the masters.*set minispark\.driver\.host"):
        own_host(Cut(), (FAR,))
    assert own_host(Cut(), (MASTER,)) == "127.0.0.1"


def test_an_address_that_is_taken_leaves_no_env_behind() -> None:
    async def scenario() -> None:
        network = MemoryNetwork()
        conf = SparkConf({"minispark.driver.port": 4711, "minispark.port.maxRetries": 0})
        first = await ClusterMode(conf, VirtualWorld(1, network), ClusterMaster((MASTER,))).open_env()
        with pytest.raises(MiniSparkError, match="cannot listen"):
            await ClusterMode(conf, VirtualWorld(2, network), ClusterMaster((MASTER,))).open_env()
        await first.close()

    run_virtual(scenario())


def test_the_application_asks_for_what_is_set() -> None:
    async def scenario() -> None:
        conf = SparkConf({
            "minispark.app.name": "mine", "minispark.cores.max": 8, "minispark.executor.cores": 2,
            "minispark.executor.memory": "3g", "minispark.executor.instances": 3, "minispark.executorEnv.A": "b",
        })  # fmt: skip
        made = mode(conf)
        env = await made.open_env()
        asked = made.description(env)
        assert (asked.name, asked.realm, asked.driver) == ("mine", made.realm, env.address)
        assert (asked.max_cores, asked.cores_per_executor, asked.memory_per_executor_bytes) == (8, 2, 3 << 30)
        assert (asked.executor_limit, asked.environment) == (3, {"A": "b"})
        await env.close()

    run_virtual(scenario())


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        ({}, -1),
        ({"executor.instances": 2}, 2),
        ({"dynamicAllocation.enabled": True}, 0),
        ({"dynamicAllocation.enabled": True, "dynamicAllocation.initialExecutors": 3, "executor.instances": 2}, 3),
    ],
)
def test_how_many_executors_are_wanted_to_begin_with(settings: dict[str, object], limit: int) -> None:
    assert executor_limit(SparkConf({f"minispark.{key}": value for key, value in settings.items()})) == limit


def test_an_executor_of_a_local_cluster_has_all_memory_of_its_worker_unless_less_is_set() -> None:
    target = LocalClusterMaster(2, 3, 1 << 29)
    assert ClusterMode(SparkConf(), VirtualWorld(), target).memory_bytes == 1 << 29
    small = SparkConf({"minispark.executor.memory": "256m"})
    made = ClusterMode(small, VirtualWorld(), target)
    assert (made.memory_bytes, made.default_parallelism) == (256 << 20, 6)
    with pytest.raises(ConfigurationError, match=r"is 1024 MiB, and a worker of .* has 512 MiB"):
        ClusterMode(SparkConf({"minispark.executor.memory": "1g"}), VirtualWorld(), target)


def test_parallelism_follows_the_cores_that_are_there() -> None:
    made = mode()
    assert made.default_parallelism == 2
    made.backend.table.register(ExecutorId("1"), "host", 8)
    assert made.default_parallelism == 8
