import pytest

from minispark.ids import ExecutorId
from minispark.scheduler.logic import cluster as module
from minispark.scheduler.logic.cluster import Cluster

A, B, C = ExecutorId("a"), ExecutorId("b"), ExecutorId("c")


def two_hosts() -> Cluster:
    cluster = Cluster({"h1": "r1", "h2": "r1"})
    for executor_id, host in ((A, "h1"), (B, "h1"), (C, "h2")):
        assert cluster.add(executor_id, host)
    return cluster


def test_hosts_and_racks_are_alive_as_long_as_an_executor_there_is() -> None:
    cluster = two_hosts()
    assert not cluster.add(A, "h1")
    cluster.remove(A)
    cluster.remove(C)
    cluster.check()
    assert cluster.hosts == {"h1": {B: None}}
    assert cluster.racks == {"r1": {"h1": None}}
    cluster.remove(B)
    assert (cluster.hosts, cluster.racks) == ({}, {})
    assert cluster.remove(B) is None


@pytest.mark.scenario("TSI-019")
def test_decommissioned_executors_and_their_hosts_are_not_alive() -> None:
    cluster = two_hosts()
    assert cluster.decommission(A, "preempted", 1.0, False)
    assert not cluster.is_alive(A)
    assert "h1" in cluster.hosts
    assert cluster.decommission(B, "preempted", 1.0, False)
    assert list(cluster.hosts) == ["h2"]
    assert list(cluster.racks["r1"]) == ["h2"]
    cluster.decommission(C, "preempted", 1.0, True)
    assert cluster.racks == {}
    cluster.check()


@pytest.mark.scenario("TSI-020", "decommission state kept when host decommissioned")
def test_a_decommission_keeps_its_first_time_when_the_host_turns_out_to_go_too() -> None:
    cluster = two_hosts()
    cluster.decommission(A, "drained", 1.0, False)
    cluster.decommission(A, "again", 5.0, True)
    cluster.decommission(A, "again", 6.0, False)
    state = cluster.decommissioned(A)
    assert state is not None
    assert (state.reason, state.since_s, state.host_too) == ("drained", 1.0, True)
    assert cluster.is_host_decommissioned("h1")
    assert not cluster.is_host_decommissioned("h2")
    assert not cluster.decommission(ExecutorId("unknown"), "", 0.0, True)


def test_a_second_decommission_of_the_executor_alone_says_nothing_of_its_host() -> None:
    cluster = two_hosts()
    cluster.decommission(A, "drained", 1.0, False)
    assert cluster.decommission(A, "again", 5.0, False)
    assert not cluster.is_host_decommissioned("h1")


@pytest.mark.scenario("TSI-020", "40979 removed-by-decommission info retained (bounded)")
def test_who_was_removed_by_decommission_is_remembered_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REMEMBERED", 1)
    cluster = two_hosts()
    for executor_id in (A, B):
        cluster.decommission(executor_id, "drained", 1.0, False)
    cluster.remove(C)
    cluster.remove(A)
    assert cluster.decommissioned(A) is not None
    assert cluster.decommissioned(C) is None
    cluster.remove(B)
    assert cluster.decommissioned(A) is None
    assert cluster.decommissioned(B) is not None


def test_an_executor_whose_loss_is_not_explained_is_not_alive() -> None:
    cluster = two_hosts()
    cluster.loss_pending(C)
    cluster.loss_pending(ExecutorId("unknown"))
    assert not cluster.is_alive(C)
    assert "h2" not in cluster.hosts
    assert C in cluster.executors
    cluster.check()


def test_racks_that_become_known_later_are_used() -> None:
    racks: dict[str, str] = {}
    cluster = Cluster(racks)
    cluster.add(A, "h1")
    for rack in ("r9", "r8"):
        racks["h1"] = rack
        version = cluster.version
        cluster.racks_changed()
        assert cluster.racks == {rack: {"h1": None}}
        assert cluster.version > version


def test_each_change_of_who_is_alive_shows_in_the_version() -> None:
    cluster = two_hosts()
    versions = [cluster.version]
    cluster.add(ExecutorId("d"), "h3")
    versions.append(cluster.version)
    cluster.remove(A)
    versions.append(cluster.version)
    cluster.loss_pending(B)
    versions.append(cluster.version)
    assert versions == sorted(set(versions))
    cluster.remove(B)
    assert cluster.version == versions[-1], "it was not alive any more"
