"""How a worker is put together."""

import json
from pathlib import Path

import pytest

from minispark.conf import SparkConf
from minispark.deploy.worker_process import WorkerOptions, driver_settings, start_worker, worker_id
from minispark.errors import ConfigurationError
from minispark.messages.deploy import RegisterWorker
from minispark.rpc.logic.address import RpcAddress
from minispark.testing.virtual_loop import VirtualWorld, run_virtual
from tests.deploy.masters import SECRET
from tests.deploy.worker_harness import House, with_worker


def test_a_directory_that_cannot_be_written_to_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    async def main() -> None:
        options = WorkerOptions((RpcAddress("127.0.0.1", 7077),), tmp_path / "file")
        with pytest.raises(ConfigurationError, match="--work-dir"):
            await start_worker(VirtualWorld(), SparkConf({}, environment={}), options, SECRET)

    run_virtual(main())


def test_a_worker_says_where_it_is_and_what_it_has(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        port = house.process.address.port
        assert house.process.title == f"worker at minispark://127.0.0.1:{port} with 4 cores and 4096 MiB"

    with_worker(scenario, tmp_path)


def test_the_port_of_the_shuffle_service_is_registered(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        assert house.process.service is not None
        assert house.leader.of(RegisterWorker)[0].shuffle_port == house.process.service.address.port

    with_worker(scenario, tmp_path, shuffle_service_enabled=True, shuffle_service_port=0)


@pytest.mark.parametrize("service", [True, False])
def test_a_worker_that_starts_removes_what_nobody_serves_of_before_a_crash(tmp_path: Path, service: bool) -> None:
    for number in ("1", "2"):
        session = tmp_path / "app-1" / number / "minispark-x"
        session.mkdir(parents=True)
        (session / "lock").touch()
    known = {"app_id": "app-1", "realm": "app-a", "directory": str(tmp_path / "app-1")}
    (tmp_path / "shuffle-service").mkdir()
    text = json.dumps(known | {"executors": {"2": "2/minispark-x"}})
    (tmp_path / "shuffle-service" / "app-a.json").write_text(text)

    async def scenario(house: House) -> None:
        left = [path.parent.name for path in tmp_path.glob("app-1/*/minispark-x")]
        assert left == (["2"] if service else [])

    with_worker(scenario, tmp_path, shuffle_service_enabled=service, shuffle_service_port=0)


def test_the_first_reason_to_end_counts(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.process.end("first")
        house.process.end("second")
        assert await house.process.ended() == "first"

    with_worker(scenario, tmp_path)


def test_ids_name_time_host_and_port() -> None:
    assert worker_id(86400.0 * 365, RpcAddress("node-1", 7078)) == "worker-19710101000000-node-1-7078"


def test_drivers_are_told_of_all_masters() -> None:
    masters = (RpcAddress("a", 1), RpcAddress("::1", 2))

    assert driver_settings(SparkConf(environment={}), masters, b"secret", "host") == {
        "MINISPARK_MASTER": "minispark://a:1,[::1]:2",
        "MINISPARK_DRIVER_HOST": "host",
        "MINISPARK_SECRET": "secret",
    }


def test_a_driver_finds_the_certificates_of_the_workers_host() -> None:
    conf = SparkConf({"minispark.ssl.keyFile": "/etc/key.pem", "minispark.task.cpus": 2}, environment={})

    found = driver_settings(conf, [RpcAddress("a", 1)], b"secret", "host")

    assert found["MINISPARK_SSL_KEYFILE"] == "/etc/key.pem"
    assert "MINISPARK_TASK_CPUS" not in found
