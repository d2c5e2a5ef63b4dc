import asyncio
from pathlib import Path

import pytest

from minispark.conf import SparkConf
from minispark.deploy.worker_process import WorkerOptions
from minispark.local_cluster import LocalCluster
from minispark.messages.deploy_clients import MasterStatus, RequestMasterStatus
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.secrets import CLUSTER_REALM
from minispark.rpc.world import SystemWorld

pytestmark = pytest.mark.cluster


def cluster_in(folder: Path, workers: int = 2) -> LocalCluster:
    return LocalCluster(SparkConf({"minispark.local.dir": folder}), SystemWorld(), workers, 3, 1 << 29)


async def status_of(cluster: LocalCluster) -> MasterStatus:
    """Ask the master until its workers have registered."""
    assert cluster.master is not None
    env = RpcEnv("client", SystemWorld(), SparkConf(), secret=cluster.secret, realm=CLUSTER_REALM)
    try:
        while True:
            status = await env.bind("Master", cluster.master.address).ask(RequestMasterStatus())
            if len(status.workers) == len(cluster.workers):
                return status
    finally:
        await env.close()


def test_a_master_and_its_workers_run_on_loopback_until_they_are_closed(tmp_path: Path) -> None:
    async def scenario() -> None:
        cluster = cluster_in(tmp_path)
        (master,), secret = await cluster.start()
        status = await status_of(cluster)
        assert (master.host, len(secret)) == ("127.0.0.1", 32)
        assert [(each.host, each.cores, each.memory_bytes) for each in status.workers] == [
            ("127.0.0.1", 3, 1 << 29)
        ] * 2
        await cluster.close()
        await cluster.close()

    asyncio.run(scenario())
    assert list(tmp_path.iterdir()) == []


def test_workers_can_be_added(tmp_path: Path) -> None:
    async def scenario() -> None:
        cluster = cluster_in(tmp_path, workers=0)
        await cluster.start()
        await cluster.add_worker()
        assert len((await status_of(cluster)).workers) == 1
        await cluster.close()

    asyncio.run(scenario())


def test_a_start_that_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> WorkerOptions:
        raise OSError("no more")

    async def scenario() -> None:
        cluster = cluster_in(tmp_path)
        monkeypatch.setattr("minispark.local_cluster.WorkerOptions", refuse)
        with pytest.raises(OSError, match="no more"):
            await cluster.start()
        await cluster.close()

    asyncio.run(scenario())
    assert list(tmp_path.iterdir()) == []
