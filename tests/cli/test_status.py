"""minispark.cli.status: the table for people and the JSON for programs."""

import json

import pytest
from click.testing import CliRunner

from minispark.cli.main import main
from minispark.cli.status import as_json, duration, lines_of, master_or_default, size
from minispark.conf import SparkConf
from minispark.ids import ApplicationId, DriverId, WorkerId
from minispark.messages.deploy_clients import ApplicationSummary, DriverSummary, MasterStatus, WorkerSummary
from minispark.messages.deploy_values import ApplicationState, DriverState, MasterState, WorkerState
from tests.cli.masters import status_of

FOUND: MasterStatus = status_of(
    MasterState.ALIVE,
    workers=(WorkerSummary(WorkerId("worker-1"), "alpha", WorkerState.ALIVE, 4, 3, 8 << 30, 1 << 30, 2.0),),
    active_apps=(
        ApplicationSummary(ApplicationId("app-1"), "count", "me", ApplicationState.RUNNING, 3, 1, 1 << 30, 0.0, 75.0),
    ),
    completed_drivers=(
        DriverSummary(
            DriverId("driver-1"), DriverState.FAILED, WorkerId("worker-1"), "alpha", "exit code 1", 1, 512, 40.0
        ),
    ),
)


def test_people_see_a_table_of_each_kind() -> None:
    assert list(lines_of(FOUND, now=100.0)) == [
        "minispark://127.0.0.1:7077  ALIVE  3 of 4 cores used",
        "",
        "WORKERS (1)",
        "  HOST   STATE  CORES  MEMORY  HEARD   ID",
        "  alpha  ALIVE  3/4    1G/8G   2s ago  worker-1",
        "",
        "APPLICATIONS (1)",
        "  NAME   STATE    CORES  EXECUTORS  RUNS      USER  ID",
        "  count  RUNNING  3      1          1min 15s  me    app-1",
        "",
        "DRIVERS (1)",
        "  STATE   CORES  MEMORY  AGE      WHERE  ID        WHY",
        "  FAILED  1      512B    1min 0s  alpha  driver-1  exit code 1",
    ]


def test_a_kind_of_which_there_is_none_has_its_title_only() -> None:
    assert list(lines_of(status_of(MasterState.ALIVE), now=0.0))[1:3] == ["", "WORKERS (0)"]


def test_programs_get_everything_by_name() -> None:
    found = json.loads(json.dumps(as_json(FOUND)))

    assert found["state"] == "ALIVE"
    assert found["workers"][0]["cores_used"] == 3
    assert found["completed_drivers"][0]["state"] == "FAILED"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1.0, "0s"), (59.6, "1min 0s"), (3600 * 25, "1d 1h"), (3661, "1h 1min"), (7, "7s")],
)
def test_durations_have_their_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_sizes_are_in_units_of_1024() -> None:
    assert [size(count) for count in (0, 1023, 1536, 3 << 30, 5 << 40)] == ["0B", "1023B", "1.5K", "3G", "5T"]


@pytest.mark.parametrize(
    ("master", "asked"),
    [
        (None, "minispark://localhost:7077"),
        ("local[2]", "minispark://localhost:7077"),
        ("minispark://a:1", "minispark://a:1"),
    ],
)
def test_without_a_cluster_in_the_settings_the_one_on_this_machine_is_asked(master: str | None, asked: str) -> None:
    conf = SparkConf(environment={})

    assert master_or_default(conf if master is None else conf.set_master(master)) == asked


@pytest.mark.cluster
def test_a_master_that_is_not_there_is_one_line_and_code_4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINISPARK_SECRET", "a secret of the cluster")

    result = CliRunner().invoke(main, ["status", "127.0.0.1:1"])

    assert result.exit_code == 4
    assert "no master answers" in result.output
    assert len(result.output.splitlines()) == 1
