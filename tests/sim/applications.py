"""One application of a history: a program that a driver runs on the cluster, its answers, and what must hold then.

Made by `cluster_histories`, one or several for a cluster; what the cluster has left is looked at there.
"""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minispark.cluster_mode import ClusterMode
from minispark.driver import Driver
from minispark.errors import MiniSparkError
from minispark.testing.sim_loop import SimProcess
from minispark.testing.simulation import SimContext, Simulation
from tests.sim.cluster_faults import Faults
from tests.sim.drawn_settings import application_settings
from tests.sim.programs import Action, Program

__all__ = ["Application"]

PATIENCE_S = 6000.0
KILLED_SHARE = 0.15
LINGERING_SHARE = 0.3
RECOVERY_ROUNDS = 20
REST_S = 30.0
LATEST_START_S = 20.0


class Application:
    """One application.

    Args:
        name: of its host.
        rng: draws what it does.
        program: its RDDs and jobs.
        note: is told what happens, for the trace.
        is_guest: whether it comes later than the first.

    Attributes:
        failures: the errors of jobs that were given up.
        wrong: what was wrong with answers.
        settings: its own.
        lingers: whether it stays until the cluster has recovered, is looked at then, and runs one more job.
        driver: the last one whose program came to its end.
    """

    driver: Driver | None = None

    def __init__(
        self,
        name: str,
        rng: random.Random,
        program: Program,
        note: Callable[[str], object],
        *,
        is_guest: bool = False,
    ) -> None:
        self.name = name
        self.rng = rng
        self.program = program
        self.settings = application_settings(rng)
        self.lingers = rng.random() < LINGERING_SHARE
        self.note = note
        self.is_guest = is_guest
        self.jobs: dict[int, str] = {}
        self.runs = 0
        self.failures: list[BaseException] = []
        self.wrong: list[str] = []

    async def run(self, simulation: Simulation, faults: Faults) -> None:
        """Run the program, sometimes again by another driver, because the first one is killed."""
        self.simulation, self.faults = simulation, faults
        await simulation.pass_time(self.rng.uniform(0.0, LATEST_START_S) if self.is_guest else 0.0)
        if self.rng.random() < KILLED_SHARE:
            process, result = simulation.start_driver(self.main, self.name, **self.settings)
            faults.later(self.rng.uniform(1.0, 20.0), self.kill_driver, process)
            await asyncio.wait([result], timeout=PATIENCE_S)
        process, result = simulation.start_driver(self.main, self.name, **self.settings)
        done, _ = await asyncio.wait([result], timeout=PATIENCE_S)
        assert done, f"the driver {self.name} does not come to an end: {list(self.jobs.values())}"
        error = None if result.cancelled() else result.exception()
        if error is not None:
            self.failed(error)

    def kill_driver(self, process: SimProcess) -> None:
        """Let a driver die."""
        self.note(f"kill {process}")
        self.faults.counts["kill driver"] = 1
        process.end()

    async def main(self, context: SimContext) -> None:
        """What the driver does."""
        self.jobs.clear()
        self.runs += 1
        folder = self.simulation.directory / f"answers-{self.name}-{self.runs}"
        folder.mkdir()
        rdds = self.program.make(context)
        await asyncio.gather(*(self.job(context, rdds, each, folder) for each in self.program.actions))
        if self.lingers:
            await self.recover(context.driver)
            await self.job(context, rdds, self.program.last, folder)
        self.driver = context.driver

    async def job(self, context: SimContext, rdds: list[Any], action: Action, folder: Path) -> None:
        """Run one job and look at its answer."""
        self.jobs[action.number] = f"waits until {action.start_s}"
        await self.simulation.clock.sleep(action.start_s)
        self.jobs[action.number] = f"{action.kind} of {action.rdd} runs"
        try:
            wrong = await self.program.job(context, rdds, action, folder)
        except Exception as error:  # noqa: BLE001 — whatever it is, the history looks at it
            self.failed(error)
        else:
            if wrong:
                self.wrong.append(f"job {action.number} of {self.name} ({action.kind}): {wrong}")
        del self.jobs[action.number]

    def failed(self, error: BaseException) -> None:
        """Take note of a job that was given up."""
        self.note(f"failed: {type(error).__name__}: {error}")
        self.failures.append(error)

    async def recover(self, driver: Driver) -> None:
        """Wait until all faults have healed and this application's executors are what they should be."""
        self.jobs[-1] = "waits until all faults have healed"
        while self.simulation.loop.now < self.faults.until_s:
            await self.simulation.clock.sleep(self.faults.until_s - self.simulation.loop.now)
        for _ in range(RECOVERY_ROUNDS):
            await self.simulation.clock.sleep(REST_S)
            try:
                self.assert_idle(driver)
            except AssertionError as error:
                self.jobs[-1] = str(error)
            else:
                break
        else:
            self.wrong.append(f"{self.name} does not recover: {self.jobs[-1]}")
        del self.jobs[-1]

    # -- what is asserted --------------------------------------------------------------------------------------------

    def assert_ended(self) -> None:
        """Assert that each job ended as it may, and that nothing of it is left."""
        assert not self.wrong, f"wrong answers: {self.wrong}"
        for error in self.failures:
            assert isinstance(error, MiniSparkError), f"not a clear error: {type(error).__name__}: {error}"
        if self.driver is not None:
            self.assert_driver(self.driver)

    def assert_driver(self, driver: Driver) -> None:
        """Assert that nothing of any job is left, but attempts on executors that were silent to the end."""
        driver.dag.state.assert_empty()
        driver.commits.assert_empty()
        driver.barriers.syncs.assert_empty()
        assert not driver.job_table.waiters, f"jobs left over: {list(driver.job_table.waiters)}"
        scheduler = driver.scheduler
        scheduler.check()
        for attempts in scheduler.sets_of_stage.values():
            for task_set in attempts.values():
                assert task_set.is_zombie, f"a task set of a job that has ended still runs: {task_set.name}"
        assert isinstance(driver.mode, ClusterMode)
        table = driver.mode.endpoint.table
        table.check()
        silent = {task_id for executor in table.executors.values() for task_id in executor.running}
        for task_id in scheduler.set_of_task:
            assert task_id in silent, f"nobody runs task {task_id}, and it has not ended"

    def assert_idle(self, driver: Driver) -> None:
        """Assert that a driver that lives has no job, and all agree which executors it has, with all cores free."""
        if driver.stopping is not None:
            return  # the cluster has given it up
        self.assert_driver(driver)
        assert not driver.scheduler.set_of_task, f"attempts are under way: {list(driver.scheduler.set_of_task)}"
        assert isinstance(driver.mode, ClusterMode)
        known = driver.mode.endpoint.table.executors
        for executor in known.values():
            assert executor.is_active, f"executor {executor.executor_id} gets no tasks"
            assert not executor.running, f"executor {executor.executor_id} has lost cores to {list(executor.running)}"
        prefix = f"executor {driver.application_id} "
        alive = {each.name.split()[2] for each in self.simulation.executors if each.name.startswith(prefix)}
        assert set(known) == alive, f"the driver knows executors {sorted(known)}, and there are {sorted(alive)}"
        lent = self.lent(driver)
        assert lent == alive, f"the master has lent executors {sorted(lent)}, and there are {sorted(alive)}"
        if driver.allocation is not None:
            figures = driver.allocation.figures()
            assert (figures.need, figures.going) == (0, 0), f"at rest, and still {figures}"

    def lent(self, driver: Driver) -> set[str]:
        """Return the executors that this application has, as the leader's books say."""
        running = [leader.running for leader in self.simulation.leaders]
        apps = [each.endpoint.machine.cluster.apps.get(driver.application_id) for each in running if each is not None]
        return {str(number) for app in apps if app is not None for number in (*app.executors, *app.leaving)}
