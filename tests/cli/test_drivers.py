"""minispark.cli.drivers: what is sent to the cluster with a program, and waiting for its end."""

from pathlib import Path

import pytest

from minispark.cli.client import ClusterClient
from minispark.cli.drivers import cluster_of, describe, wait_for
from minispark.cli.exits import Exit
from minispark.conf import SparkConf
from minispark.errors import ConfigurationError, RpcError
from minispark.messages.deploy_values import DriverState, MasterState
from minispark.rpc.env import RpcEnv
from tests.cli.masters import DRIVER, ScriptedMaster, with_masters


def conf(**values: object) -> SparkConf:
    found = {f"minispark.{key.replace('_', '.')}": value for key, value in values.items()}
    return SparkConf({"minispark.master": "minispark://a", **found}, environment={})


@pytest.fixture
def app(tmp_path: Path) -> Path:
    for name in ("app.py", "lib.py", "lib.zip", "data.csv", "env.zip"):
        (tmp_path / name).write_text(f"the text of {name}")
    return tmp_path / "app.py"


def test_a_driver_comes_with_its_files_and_knows_them_by_name(app: Path) -> None:
    folder = app.parent
    settings = conf(
        submit_pyFiles=f"{folder}/lib.py,{folder}/lib.zip",
        files=f"{folder}/data.csv",
        archives=f"{folder}/env.zip#env",
    )

    made = describe(settings, str(app), ["--help", "2024"])

    assert made.argv == ("app.py", "--help", "2024")
    assert {file.name: bytes(file.data) for file in made.files} == {
        name: f"the text of {name}".encode() for name in ("app.py", "lib.py", "lib.zip", "data.csv", "env.zip")
    }
    assert made.environment == {
        "MINISPARK_MASTER": "minispark://a:7077", "MINISPARK_SUBMIT_PYFILES": "lib.py,lib.zip",
        "MINISPARK_FILES": "data.csv", "MINISPARK_ARCHIVES": "env.zip#env", "PYTHONPATH": "lib.zip",
    }  # fmt: skip


def test_what_names_files_of_this_machine_stays_here(app: Path) -> None:
    settings = conf(authenticate_secretFile="/x", ssl_keyFile="/y", local_dir="/z", task_cpus=2)

    made = describe(settings, str(app), [])

    assert made.environment == {"MINISPARK_MASTER": "minispark://a:7077", "MINISPARK_TASK_CPUS": "2"}


def test_resources_and_supervision_are_those_of_the_settings(app: Path) -> None:
    made = describe(conf(driver_cores=2, driver_memory="3g", driver_supervise=True), str(app), [])

    assert (made.cores, made.memory_bytes, made.supervise) == (2, 3 << 30, True)


def test_two_files_of_one_name_are_refused(app: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "app.py").write_text("another")

    with pytest.raises(ConfigurationError, match="have one name"):
        describe(conf(submit_pyFiles=f"{tmp_path}/other/app.py"), str(app), [])


def test_files_too_large_for_a_message_and_folders_are_refused(app: Path) -> None:
    app.write_bytes(b"#" * 5000)

    with pytest.raises(ConfigurationError, match="put the large ones where all machines see them"):
        describe(conf(rpc_outbox_maxSize=5000), str(app), [])
    with pytest.raises(ConfigurationError, match=r"cannot send .*: Is a directory"):
        describe(conf(), str(app.parent), [])


@pytest.mark.parametrize("master", ["local[2]", "local", None])
def test_cluster_mode_needs_a_cluster(master: str | None) -> None:
    settings = conf().unset("minispark.master") if master is None else conf().set_master(master)

    with pytest.raises(ConfigurationError, match="which cluster"):
        cluster_of(settings)


@pytest.mark.parametrize(
    ("last", "code"),
    [(DriverState.FINISHED, Exit.DONE), (DriverState.FAILED, Exit.FAILED), (DriverState.KILLED, Exit.FAILED)],
)
def test_waiting_ends_with_the_driver(last: DriverState, code: Exit, capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario(client: ClusterClient, *_: object) -> None:
        assert await wait_for(client, DRIVER, 60.0) is code

    with_masters(scenario, ScriptedMaster(MasterState.ALIVE, (DriverState.SUBMITTED, DriverState.RUNNING, last)))
    assert capsys.readouterr().out == f"driver-1: {last.name}\n"


def test_waiting_goes_on_under_another_master() -> None:
    async def scenario(client: ClusterClient, masters: list[ScriptedMaster], envs: list[RpcEnv]) -> None:
        await client.status()
        await envs[0].close()
        masters[1].state = MasterState.ALIVE
        assert await wait_for(client, DRIVER, 60.0) is Exit.DONE

    with_masters(
        scenario,
        ScriptedMaster(MasterState.ALIVE),
        ScriptedMaster(MasterState.STANDBY, (DriverState.FINISHED,)),
    )


def test_waiting_for_masters_that_are_gone_ends_after_its_patience() -> None:
    async def scenario(client: ClusterClient, _: object, envs: list[RpcEnv]) -> None:
        await envs[0].close()
        before = client.env.world.monotonic()
        with pytest.raises(RpcError, match="no master answers"):
            await wait_for(client, DRIVER, 60.0)
        assert client.env.world.monotonic() - before >= 60.0

    with_masters(scenario, ScriptedMaster(MasterState.ALIVE))
