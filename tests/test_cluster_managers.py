"""Cluster managers of other packages: found by the scheme of the master URL, in what is installed."""

from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import pytest

from minispark.cluster_managers import GROUP, has_manager, load_manager, make_mode
from minispark.conf import SparkConf
from minispark.context import SparkContext
from minispark.errors import ConfigurationError
from minispark.local_mode import LocalMode
from minispark.rpc.world import SystemWorld
from tests.contexts import run_inline

MODULE = """
from minispark.local_mode import LocalMode

class Mode(LocalMode):
    def __init__(self, conf, world, url):
        super().__init__(conf, world, 3, None)
        self.url = url
        self.launch()
"""

external = pytest.mark.scenario("HIS-006", "ExternalClusterManager")


def install(path: Path, package: str, *entries: str) -> None:
    """Install a package with entry points into a folder, as pip would."""
    (path / f"{package}.py").write_text(MODULE)
    info = path / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *entries]))
    invalidate_caches()


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@external
def test_a_context_runs_its_tasks_where_the_manager_says(packages: Path) -> None:
    install(packages, "somewhere_a", "somewhere = somewhere_a:Mode")

    async def job(sc: SparkContext) -> Any:
        mode = sc.driver.mode
        assert isinstance(mode, LocalMode)
        return type(mode).__module__, vars(mode)["url"], await sc.range(10).sum(), sc.default_parallelism

    found = run_inline(job, "Somewhere://far/away")

    assert found == ("somewhere_a", "Somewhere://far/away", 45, 3)


@external
def test_a_scheme_that_no_package_brings_is_refused_with_the_forms(packages: Path) -> None:
    install(packages, "somewhere_b", "other = somewhere_b:Mode")

    assert not has_manager("nowhere")
    with pytest.raises(ConfigurationError, match="'nowhere://x' is not a master URL: use local"):
        SparkContext("nowhere://x")


@external
def test_two_managers_of_one_scheme_are_refused(packages: Path) -> None:
    install(packages, "somewhere_c", "twice = somewhere_c:Mode")
    install(packages, "somewhere_d", "twice = somewhere_d:Mode")

    with pytest.raises(
        ConfigurationError, match="several cluster managers for twice://: somewhere_c:Mode, somewhere_d"
    ):
        load_manager("twice")


def test_a_manager_that_cannot_be_loaded_is_named(packages: Path) -> None:
    install(packages, "somewhere_e", "broken = somewhere_e:Nothing")

    with pytest.raises(
        ConfigurationError, match=r"manager for broken:// \(somewhere_e:Nothing\) cannot be loaded: .*Nothing"
    ):
        load_manager("broken")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("raise RuntimeError('no driver')", "cannot be loaded: RuntimeError: no driver"),
        ("def Mode(:", "cannot be loaded: SyntaxError"),
        ("Mode = 7", "is 7: a class or a function is needed"),
        ("def Mode(conf, world, url): pass", "has made None: a driver.RunMode is needed"),
    ],
)
def test_a_manager_that_is_none_is_told_as_such(packages: Path, content: str, problem: str) -> None:
    name = f"somewhere_{len(content)}"
    install(packages, name, f"wrong = {name}:Mode")
    (packages / f"{name}.py").write_text(content)

    with pytest.raises(ConfigurationError, match=f"manager for wrong:// .*{problem}"):
        make_mode("wrong", SparkConf(), SystemWorld(), "wrong://x")
