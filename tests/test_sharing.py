import tarfile
from pathlib import Path

import pytest

from minispark import SparkFiles
from minispark.context import SparkContext
from minispark.errors import ConfigurationError
from minispark.testing.virtual_loop import VirtualWorld, run_virtual
from tests.contexts import inline_conf, run_inline


@pytest.mark.scenario("CTX-002", "archives")
def test_an_archive_is_a_folder_in_tasks_by_its_own_or_a_given_name(tmp_path: Path) -> None:
    (tmp_path / "inner.txt").write_text("inner")
    with tarfile.open(tmp_path / "data.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "inner.txt", "inner.txt")

    async def scenario(sc: SparkContext) -> list[str]:
        await sc.add_archive(tmp_path / "data.tar.gz")
        with pytest.raises(ConfigurationError, match="name of a folder"):
            await sc.add_archive(f"{tmp_path}/data.tar.gz#a/b")
        await sc.add_archive(f"{tmp_path}/data.tar.gz#data")
        names = sc.parallelize(["data.tar.gz", "data"], 1)
        return await names.map(lambda name: (Path(SparkFiles.get(name)) / "inner.txt").read_text()).collect()

    assert run_inline(scenario) == ["inner", "inner"]


def test_the_settings_name_files_that_are_there_from_the_start(tmp_path: Path) -> None:
    for name in ("one.txt", "two.txt", "module.py"):
        (tmp_path / name).write_text("")

    async def scenario(sc: SparkContext) -> list[str]:
        return [Path(path).name for path in sc.list_files()]

    settings = {"files": f"{tmp_path}/one.txt, {tmp_path}/two.txt", "submit_pyFiles": f"{tmp_path}/module.py"}
    assert run_inline(scenario, **settings) == ["one.txt", "two.txt", "module.py"]


def test_a_missing_file_fails_the_start_by_its_name_and_a_new_context_can_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        conf = inline_conf(submit_pyFiles=f"{tmp_path}/missing.py", local_dir=tmp_path)
        with pytest.raises(ConfigurationError, match=r"there is no file .*/missing\.py"):
            await SparkContext("local", conf=conf, world=VirtualWorld()).start()
        async with SparkContext("local", conf=inline_conf(), world=VirtualWorld()) as sc:
            assert await sc.range(3).count() == 3

    run_virtual(scenario())
    assert list(tmp_path.iterdir()) == []


def test_jobs_carry_a_version_only_once_files_were_added(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    async def scenario(sc: SparkContext) -> None:
        assert sc.driver.jobs.properties() == {}
        await sc.add_file(tmp_path / "file")
        assert list(sc.driver.jobs.properties().values()) == [str(sc.driver.jobs.files_version)]

    run_inline(scenario)
