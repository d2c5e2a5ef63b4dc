"""What a master spends on 1,000 workers: CPU seconds for a second in which they send their heartbeats.

The workers and the master are the real ones, on the loop of a simulation; only the time that the master's callbacks
take is counted (the bytes are sealed and unsealed, but no kernel is involved). By hand: as many messages unpacked
into a dict. `details` has what the registration of all workers takes.
"""

import asyncio
import time

import msgpack

from benchmarks.harness import Result, compare
from minispark.testing.simulation import Simulation, run_simulation

__all__ = ["run"]

WORKERS = 1000
HEARTBEATS_EACH_S = 15.0  # a quarter of minispark.worker.timeout
OBSERVED_S = 300.0
STARTS_EACH_S = 0.01


async def load(simulation: Simulation, workers: int, details: dict[str, float]) -> float:
    """Register workers, then watch the master for a while; return CPU seconds a virtual second."""
    simulation.loop.meter = time.process_time
    master = simulation.add_master("master")
    await simulation.pass_time(1.0)
    for number in range(workers):
        simulation.add_worker(f"host-{number}", cores=16)
        await simulation.pass_time(STARTS_EACH_S)
    await simulation.pass_time(60.0)
    running = master.running
    assert running is not None
    assert len(running.endpoint.machine.cluster.workers) == workers
    details["registration_cpu_s"] = master.process.spent_s
    before = master.process.spent_s
    await simulation.pass_time(OBSERVED_S)
    return (master.process.spent_s - before) / OBSERVED_S


def by_hand_s(workers: int) -> float:
    """Return the same of the least that can be done with the messages."""
    packed = [msgpack.packb([0, "Master", [313, f"worker-{number}"]]) for number in range(workers)]
    heard: dict[str, float] = {}
    began = time.process_time()
    for body in packed:
        heard[msgpack.unpackb(body)[2][1]] = began
    return (time.process_time() - began) / HEARTBEATS_EACH_S


def run(quick: bool = False) -> Result:
    """Measure."""
    workers = 50 if quick else WORKERS
    details: dict[str, float] = {"workers": workers}

    async def ours() -> float:
        settings: dict[str, object] = {"shuffle.service.enabled": False}
        return await asyncio.to_thread(
            run_simulation, lambda simulation: load(simulation, workers, details), settings=settings
        )

    async def by_hand() -> float:
        return by_hand_s(workers)

    return asyncio.run(
        compare("master_load", "CPU s/s", "lower", ours=ours, by_hand=by_hand, quick=quick, details=details)
    )
