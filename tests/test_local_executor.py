from minispark.context import SparkContext
from minispark.executor.executor import EXECUTOR
from minispark.scheduler.local import LocalSchedulerBackend
from tests.contexts import run_inline


def test_local_mode_has_its_executor_in_the_drivers_own_env() -> None:
    async def scenario(sc: SparkContext) -> None:
        env = sc.driver.env
        assert env is not None
        assert env.address is None
        assert env.endpoint_ref(EXECUTOR).name == "Executor"
        assert isinstance(sc.driver.backend, LocalSchedulerBackend)
        assert sc.driver.backend.max_concurrent_tasks == 3
        assert await sc.parallelize(range(4)).sum() == 6

    run_inline(scenario, "local[3]")
