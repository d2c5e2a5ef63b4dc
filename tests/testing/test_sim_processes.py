import errno
import signal
from pathlib import Path
from typing import Any

import pytest

from minispark.deploy.process_log import RolledLog
from minispark.deploy.processes import ProcessCommand
from minispark.testing.sim_processes import SimLauncher, SimLifeline
from minispark.testing.simulation import Simulation, run_simulation

LINE = b'{"secret": "00000000000000000000000000000000", "realm": "app-1", "service": "", "settings": {}}\n'
ARGV = (
    *("python", "-m", "minispark.executor", "--driver", "driver:1", "--executor-id", "1", "--host", "a"),
    *("--cores", "1", "--memory", "1", "--app-id", "app-1"),
)


def launcher_in(simulation: Simulation) -> SimLauncher:
    host = simulation.host("a")
    worker, _ = simulation.process("worker", host)
    return SimLauncher(worker, lambda name: simulation.process(name, host), lambda task: 0.0, simulation.observe)


def command(directory: Path) -> ProcessCommand:
    log = RolledLog(directory / "log", 0, 0)
    return ProcessCommand((*ARGV, "--directory", str(directory)), {}, directory, (log, log), LINE)


def test_an_executor_that_cannot_reach_its_driver_ends_with_a_code_that_the_worker_learns() -> None:
    async def scenario(simulation: Simulation) -> tuple[int, bool]:
        launcher = launcher_in(simulation)
        running = launcher.launch(command(simulation.directory))
        code = await running.ended()
        return code, launcher.executors[0].process.is_alive

    assert run_simulation(scenario) == (1, False)


@pytest.mark.parametrize(("end", "code"), [("terminate", 143), ("kill", -9), ("lifeline", 1)])
def test_an_executor_ends_when_it_is_told_so_or_its_worker_is_gone(end: str, code: int) -> None:
    async def scenario(simulation: Simulation) -> int:
        simulation.network.cut_link("a", "driver")  # it goes on trying to connect
        launcher = launcher_in(simulation)
        running = launcher.launch(command(simulation.directory))
        await simulation.pass_time(1.0)
        {"terminate": running.terminate, "kill": running.kill, "lifeline": launcher.worker.end}[end]()
        return await running.ended()

    assert run_simulation(scenario) == code


def test_starting_may_fail_or_what_is_started_may_die() -> None:
    async def scenario(simulation: Simulation) -> int:
        launcher = launcher_in(simulation)
        launcher.fails = OSError(errno.ENOSPC, "full")
        with pytest.raises(OSError, match="full"):
            launcher.launch(command(simulation.directory))
        launcher.fails, launcher.dies = None, True
        return await launcher.launch(command(simulation.directory)).ended()

    assert run_simulation(scenario) == 1


def test_a_lifeline_that_is_not_watched_tells_nobody() -> None:
    heard: list[Any] = []
    line = SimLifeline(lambda: None)
    line.cut()
    line.watch(None, lambda: heard.append(signal.SIGTERM))
    line.close()
    line.cut()
    assert heard == []
    line.watch(None, lambda: heard.append(1))
    line.cut()
    assert heard == [1]
