from pathlib import Path

import pytest

from minispark.context import SparkContext
from minispark.errors import JobFailed, MiniSparkError
from minispark.testing.virtual_loop import VirtualWorld, run_virtual, settle
from tests.contexts import inline_conf, run_inline


def test_a_folder_for_sessions_that_does_not_exist_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        conf = inline_conf(local_dir=tmp_path / "missing")
        with pytest.raises(MiniSparkError, match=r"missing.*minispark\.local\.dir"):
            await SparkContext("local[1]", conf=conf, world=VirtualWorld()).start()

    run_virtual(scenario())
    assert list(tmp_path.iterdir()) == []


def test_a_stop_removes_the_session_directory(tmp_path: Path) -> None:
    async def scenario(sc: SparkContext) -> None:
        await sc.parallelize("ab").map(lambda letter: (letter, 1)).group_by_key().count()
        assert len(list(tmp_path.iterdir())) == 1

    run_inline(scenario, local_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_ten_jobs_leave_the_tables_as_one_does() -> None:
    async def scenario(sc: SparkContext) -> tuple[int, int]:
        sizes = []
        for _ in range(10):
            await sc.parallelize(range(8), 4).map(lambda n: (n % 3, n)).reduce_by_key(max).collect()
            await settle()
            sizes.append((len(sc.driver.binaries), len(sc.driver.work.partitions)))
        assert len(set(sizes)) == 1
        return sizes[0]

    assert run_inline(scenario) == (0, 0)


def test_a_failing_component_gives_all_jobs_up_instead_of_letting_them_wait(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(sc: SparkContext) -> None:
        def fail(offers: object) -> list[object]:
            raise RuntimeError("a bug")

        offer = sc.driver.scheduler.resource_offers
        sc.driver.scheduler.resource_offers = fail  # type: ignore[method-assign,assignment]
        with pytest.raises(JobFailed, match="LocalSchedulerBackendEndpoint failed: RuntimeError: a bug"):
            await sc.parallelize([1, 2], 2).count()
        sc.driver.scheduler.resource_offers = offer  # type: ignore[method-assign]
        assert await sc.parallelize([1, 2], 2).count() == 2

    run_inline(scenario)
    assert "a bug" in caplog.text
