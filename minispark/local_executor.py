"""Local mode's executor and backend, in the driver's own env. Called by `local_mode` when the driver starts.

It is apart from `local_mode` because that one is loaded while the runner processes start, and must stay small.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from minispark.executor.executor import EXECUTOR, Executor
from minispark.executor.persisted import PersistedBlocks
from minispark.executor.questions import DriverRefs
from minispark.ids import TaskId
from minispark.local_mode import LOCAL_EXECUTOR_ID, LocalMode
from minispark.messages.runner import AnswerFailed, NeedBroadcast, NeedFiles, RunnerReply, RunnerRequest
from minispark.messages.scheduler import ExecutorAdded
from minispark.rpc.message import Message
from minispark.scheduler.barrier import BARRIER_SYNC
from minispark.scheduler.local import LocalEndpoint, LocalSchedulerBackend
from minispark.scheduler.output_commit import OUTPUT_COMMIT_COORDINATOR

if TYPE_CHECKING:
    from minispark.driver import Driver

__all__ = ["start_local_executor"]

BACKEND = "LocalSchedulerBackendEndpoint"


class LocalSupply:
    """Answers what runners ask about broadcasts and files: the driver's own are at hand. A `RunnerHelper`."""

    def __init__(self, driver: "Driver") -> None:
        self.driver = driver

    def answers_to(self) -> tuple[type[Message], ...]:
        """Return what it answers."""
        return NeedBroadcast, NeedFiles

    def asked(
        self, task_id: TaskId, request: RunnerRequest, answer: Callable[[RunnerReply | AnswerFailed], None]
    ) -> None:
        """Answer when it is here: at once, unless it is a broadcast that is being written."""
        self.driver.distribution.asked(request, answer)

    def attempt_ended(self, task_id: TaskId, succeeded: bool) -> None:
        """Do nothing: nothing is held for an attempt."""


async def start_local_executor(local: LocalMode, driver: "Driver") -> None:
    """Register the executor and its backend with the driver, and start the runners.

    Raises:
        MiniSparkError: they cannot be started; the text says why.
    """
    env, conf = driver.env, driver.conf
    assert env is not None
    added = ExecutorAdded(LOCAL_EXECUTOR_ID, local.location.host)
    persisted = PersistedBlocks(env, env.endpoint_ref("BlockManagerMaster"), local.location, conf, local.pool)
    executor = Executor(
        LOCAL_EXECUTOR_ID,
        local.pool,
        env.bind(BACKEND, None),
        DriverRefs(
            env.endpoint_ref("BinaryServer"),
            env.endpoint_ref("MapOutputTracker"),
            env.endpoint_ref(OUTPUT_COMMIT_COORDINATOR),
            env.endpoint_ref(BARRIER_SYNC),
            driver.heartbeats,
        ),
        conf=conf,
        location=local.location,
        world=local.world,
        scope=env.scope,
        serve=env.dispatcher.serve,
        permits=driver.commits.may_commit if conf.executor_pool == "inline" else None,
        reregister=partial(driver.heartbeats.send, added),
        helpers=[LocalSupply(driver), persisted],
        runner_gone=persisted.runner_lost,
    )
    persisted.attach(executor)
    executor_ref = env.setup_endpoint(EXECUTOR, executor)
    backend = LocalSchedulerBackend(local.cores, executor_ref, conf.executor_stop_deadline, conf.task_cpus)
    endpoint = LocalEndpoint(driver.offers, executor_ref, LOCAL_EXECUTOR_ID, local.location.host, local.cores)
    backend.attach(env.setup_endpoint(BACKEND, endpoint))
    driver.attach(backend, endpoint)
    driver.heartbeats.send(added)
    await executor.start()
