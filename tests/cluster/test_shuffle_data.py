"""Map outputs that outlive their executors: served by their host's shuffle service, or handed over to others."""

from pathlib import Path

import psutil
import pytest

from minispark import SparkConf, SparkContext
from minispark.messages.listener import ListenerEvent, StageSubmitted
from tests.cluster.cluster_house import mine, mode_of, registered, until, with_cluster

pytestmark = pytest.mark.cluster

EXPECTED = [(key, 50) for key in range(4)]


class Stages:
    """Counts the stages that are submitted."""

    def __init__(self) -> None:
        self.count = 0

    def on_event(self, event: ListenerEvent) -> None:
        self.count += isinstance(event, StageSubmitted)


@pytest.mark.scenario("ESS-001", "shuffle still readable after executor killed")
def test_with_a_shuffle_service_map_outputs_outlive_their_executors(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        await registered(sc)
        stages = Stages()
        grouped = sc.parallelize(range(200), 4).map(lambda n: (n % 4, n)).group_by_key(2).map_values(len)
        assert sorted(await grouped.collect()) == EXPECTED
        table = mode_of(sc).endpoint.table
        before = set(table.executors)
        for pid in mine(sc):
            psutil.Process(pid).kill()
        await until(lambda: not before & set(table.executors))
        await registered(sc)
        sc.add_listener(stages)

        assert sorted(await grouped.collect()) == EXPECTED

        await until(lambda: stages.count)
        assert stages.count == 1, "the map stage did not run again"
        assert list(tmp_path.rglob("*.data"))

    conf = SparkConf(
        {
            "minispark.local.dir": tmp_path,
            "minispark.shuffle.service.enabled": True,
            "minispark.shuffle.readHostLocal": False,
        }
    )
    with_cluster(scenario, conf)
    assert not list(tmp_path.rglob("*.data"))


@pytest.mark.scenario("DEC-005", "shuffle blocks")
@pytest.mark.scenario("DEC-005", "36782 no deadlock when map statuses go by broadcast")
@pytest.mark.scenario("MOT-002", "remote fetch under max message size direct, above threshold through broadcast")
@pytest.mark.parametrize("broadcast_from", [512 << 10, 1], ids=["direct", "by broadcast"])
def test_an_executor_that_goes_in_order_hands_its_map_outputs_over(tmp_path: Path, broadcast_from: int) -> None:
    async def scenario(sc: SparkContext) -> None:
        await registered(sc)
        stages = Stages()
        grouped = sc.parallelize(range(200), 4).map(lambda n: (n % 4, n)).group_by_key(2).map_values(len)
        assert sorted(await grouped.collect()) == EXPECTED
        mode = mode_of(sc)
        leaving = next(iter(mode.endpoint.table.executors))
        await mode.backend.decommission_executors([leaving], "the test wants it")
        await until(lambda: leaving not in mode.endpoint.table.executors)
        sc.add_listener(stages)

        assert sorted(await grouped.collect()) == EXPECTED

        await until(lambda: stages.count)
        assert stages.count == 1, "the map stage did not run again"
        assert bool(sc.driver.tracker.broadcasts) is (broadcast_from == 1)

    conf = SparkConf({"minispark.local.dir": tmp_path, "minispark.decommission.enabled": True})
    conf.set("minispark.shuffle.mapOutput.minSizeForBroadcast", broadcast_from)
    with_cluster(scenario, conf)
