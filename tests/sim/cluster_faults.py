"""What can go wrong in a simulated cluster, on purpose; each fault heals by itself after a while."""

import errno
import random
import signal
from collections.abc import Callable
from typing import TypeVar

from minispark.messages.deploy_clients import DecommissionWorkersOnHosts
from minispark.messages.task import RunnerLost
from minispark.testing.sim_loop import SimProcess
from minispark.testing.sim_network import pair
from minispark.testing.sim_pool import SimPool
from minispark.testing.sim_processes import SimExecutor
from minispark.testing.simulation import SimMaster, Simulation, SimWorker

T = TypeVar("T")


class Faults:
    """Draws faults and lets them happen.

    Args:
        simulation: in which.
        rng: draws.
        note: is told each fault, for the trace.

    Attributes:
        counts: how many there were, by kind.
        until_s: when the last one that was drawn so far will have healed.
    """

    def __init__(self, simulation: Simulation, rng: random.Random, note: Callable[[str], object]) -> None:
        self.simulation = simulation
        self.rng = rng
        self.note = note
        self.counts: dict[str, int] = {}
        self.until_s = 0.0
        self.kinds: dict[str, Callable[[], bool]] = {
            "kill executor": self.kill_executor,
            "terminate executor": self.terminate_executor,
            "crash runner": self.crash_runner,
            "kill worker": self.kill_worker,
            "kill leader": self.kill_leader,
            "kill master": self.kill_master,
            "freeze executor": self.freeze_executor,
            "freeze worker": self.freeze_worker,
            "freeze leader": self.freeze_leader,
            "freeze driver": self.freeze_driver,
            "cut link": self.cut_link,
            "isolate host": self.isolate_host,
            "slow link": self.slow_link,
            "host dies": self.host_dies,
            "slow disk": self.slow_disk,
            "store fails": self.store_fails,
            "full disk": self.full_disk,
            "no room for outputs": self.no_room_for_outputs,
            "executors die at start": self.executors_die,
            "lose files": self.lose_files,
            "decommission executor": self.decommission_executor,
            "decommission worker": self.decommission_worker,
            "terminate worker": self.terminate_worker,
            "decommission host": self.decommission_host,
        }

    def strike(self) -> None:
        """Let a fault happen; another one where there is nothing for it to hit."""
        names = list(self.kinds)
        for name in self.rng.sample(names, len(names)):
            if self.kinds[name]():
                self.counts[name] = self.counts.get(name, 0) + 1
                return

    def later(self, delay_s: float, action: Callable[..., object], *args: object) -> None:
        """Do something after a while."""
        loop = self.simulation.loop
        self.until_s = max(self.until_s, loop.now + delay_s)
        loop.call_at_as(None, loop.now + delay_s, action, *args)

    def choose(self, several: list[T]) -> T | None:
        """Draw one, if there is any."""
        return self.rng.choice(several) if several else None

    # -- processes ---------------------------------------------------------------------------------------------------

    def executor(self) -> SimExecutor | None:
        """Draw an executor that lives."""
        return self.choose(
            [
                each
                for worker in self.simulation.workers
                for each in worker.launcher.executors
                if each.process.is_alive
            ]
        )

    def worker(self) -> SimWorker | None:
        """Draw a worker that lives."""
        return self.choose([each for each in self.simulation.workers if each.process.is_alive])

    def master(self) -> SimMaster | None:
        """Draw a master that lives."""
        return self.choose([each for each in self.simulation.masters if each.process.is_alive])

    def leader(self) -> SimMaster | None:
        """Return the leader, if there is one."""
        return self.choose(self.simulation.leaders)

    def end(self, place: SimExecutor | SimWorker | SimMaster | None, what: str) -> bool:
        """Kill a process."""
        if place is None:
            return False
        self.note(f"{what} {place.process}")
        place.process.end()
        return True

    def kill_executor(self) -> bool:
        """Let an executor die by SIGKILL."""
        return self.end(self.executor(), "kill")

    def terminate_executor(self) -> bool:
        """Let somebody send an executor SIGTERM."""
        executor = self.executor()
        if executor is None:
            return False
        self.note(f"terminate {executor.process}")
        executor.process.signal(signal.SIGTERM)
        return True

    def decommission_executor(self) -> bool:
        """Let somebody tell an executor that its machine goes."""
        executor = self.executor()
        if executor is None or signal.SIGPWR not in executor.process.signals:
            return False
        self.note(f"SIGPWR for {executor.process}")
        executor.process.signal(signal.SIGPWR)
        return True

    def signal_worker(self, number: signal.Signals) -> bool:
        """Send a worker that runs a signal that it handles."""
        worker = self.worker()
        if worker is None or number not in worker.process.signals:
            return False
        self.note(f"{number.name} for {worker.process}")
        worker.process.signal(number)
        return True

    def decommission_worker(self) -> bool:
        """Let a worker hear that its machine goes: what runs there is to finish, then it ends."""
        return self.signal_worker(signal.SIGPWR)

    def terminate_worker(self) -> bool:
        """Let somebody stop a worker in order."""
        return self.signal_worker(signal.SIGTERM)

    def decommission_host(self) -> bool:
        """Let somebody ask the leader to have a host's worker go, if it does that."""
        worker, leader = self.worker(), self.leader()
        if worker is None or leader is None or leader.running is None:
            return False
        self.note(f"decommission {worker.host.name}")
        request, master = DecommissionWorkersOnHosts((worker.host.name,)), leader.running.endpoint.self_ref
        self.simulation.loop.call_as(leader.process, master.ask, request)
        return True

    def crash_runner(self) -> bool:
        """Let a runner die with its task."""
        executor = self.executor()
        if executor is None or not isinstance(executor.pool, SimPool) or not executor.pool.runs:
            return False
        slot = self.rng.choice(list(executor.pool.runs))
        self.note(f"crash runner {slot} of {executor.process}")
        loss = RunnerLost(None, 11, "it crashed")
        self.simulation.loop.run_as(executor.process, executor.pool.crash, slot, loss, 0.5)
        return True

    def kill_worker(self) -> bool:
        """Let a worker die by SIGKILL."""
        return self.end(self.worker(), "kill")

    def kill_leader(self) -> bool:
        """Let the leader die."""
        return self.end(self.leader(), "kill leader")

    def kill_master(self) -> bool:
        """Let any master die."""
        return self.end(self.master(), "kill")

    def freeze(self, process: SimProcess | None, longest_s: float) -> bool:
        """Stop a process for a while."""
        if process is None or process.is_frozen:
            return False
        duration_s = self.rng.uniform(1.0, longest_s)
        self.note(f"freeze {process} for {duration_s:.1f} s")
        process.freeze()
        self.later(duration_s, process.thaw)
        return True

    def freeze_executor(self) -> bool:
        """Stop an executor."""
        executor = self.executor()
        return self.freeze(None if executor is None else executor.process, self.rng.choice([10.0, 200.0]))

    def freeze_worker(self) -> bool:
        """Stop a worker."""
        worker = self.worker()
        return self.freeze(None if worker is None else worker.process, self.rng.choice([10.0, 120.0]))

    def freeze_leader(self) -> bool:
        """Stop the leader."""
        leader = self.leader()
        return self.freeze(None if leader is None else leader.process, self.rng.choice([10.0, 60.0]))

    def freeze_driver(self) -> bool:
        """Stop the driver."""
        drivers = [each for each in self.simulation.processes if each.is_alive and each.name.startswith("driver")]
        return self.freeze(self.choose(drivers), self.rng.choice([5.0, 30.0]))

    # -- network -----------------------------------------------------------------------------------------------------

    def two_hosts(self) -> tuple[str, str]:
        """Draw two hosts."""
        one, other = self.rng.sample(list(self.simulation.hosts), 2)
        return one, other

    def duration(self) -> float:
        """Draw how long a link is cut."""
        return self.rng.uniform(0.5, self.rng.choice([3.0, 20.0, 150.0]))

    def cut_link(self) -> bool:
        """Cut the link between two hosts."""
        one, other = self.two_hosts()
        duration_s = self.duration()
        self.note(f"cut {one} – {other} for {duration_s:.1f} s")
        self.simulation.network.cut_link(one, other)
        self.later(duration_s, self.simulation.network.heal_link, one, other)
        return True

    def isolate_host(self) -> bool:
        """Cut a host, or a few, off from all others."""
        hosts = list(self.simulation.hosts)
        group = self.rng.sample(hosts, self.rng.choice([1, 1, 2]))
        duration_s = self.duration()
        self.note(f"isolate {group} for {duration_s:.1f} s")
        for one in group:
            for other in hosts:
                if other not in group:
                    self.simulation.network.cut_link(one, other)
                    self.later(duration_s, self.simulation.network.heal_link, one, other)
        return True

    def slow_link(self) -> bool:
        """Let bytes between two hosts take long."""
        one, other = self.two_hosts()
        slow = self.simulation.network.slow
        slow[pair(one, other)] = self.rng.choice([0.05, 1.0])
        self.note(f"slow {one} – {other}")
        self.later(self.rng.uniform(5.0, 60.0), slow.pop, pair(one, other), None)
        return True

    def host_dies(self) -> bool:
        """Switch a worker's host off; nobody is told. It comes back after a while."""
        worker = self.worker()
        if worker is None:
            return False
        host, network = worker.host.name, self.simulation.network
        self.note(f"host {host} dies")
        network.dead[host] = None
        for process in self.simulation.processes:
            if process.host == host:
                process.end()

        def back() -> None:
            network.dead.pop(host, None)
            network.flush()

        self.later(worker.restart_s - 0.1 if worker.restart_s is not None else 3.0, back)
        return True

    # -- disks -------------------------------------------------------------------------------------------------------

    def slow_disk(self) -> bool:
        """Let a host's disk take long."""
        host = self.choose(list(self.simulation.hosts.values()))
        assert host is not None
        host.disk_s = self.rng.choice([0.05, 0.5, 4.0])
        self.note(f"slow disk of {host.name}: {host.disk_s} s")
        self.later(self.rng.uniform(5.0, 60.0), setattr, host, "disk_s", 0.0)
        return True

    def store_fails(self) -> bool:
        """Let the masters' shared directory be full, or away, for a while."""
        store = self.simulation.store
        if store is None:
            return False
        self.note("the masters' store fails")
        store.failure = OSError(errno.ENOSPC, "no space left on device")
        self.later(self.rng.uniform(0.5, 20.0), setattr, store, "failure", None)
        return True

    def full_disk(self) -> bool:
        """Let a worker's disk take no more executors for a while."""
        worker = self.worker()
        if worker is None:
            return False
        launcher = worker.launcher
        self.note(f"full disk of {worker.host.name}")
        launcher.fails = OSError(errno.ENOSPC, "no space left on device")
        self.later(self.rng.uniform(0.5, 10.0), setattr, launcher, "fails", None)
        return True

    def no_room_for_outputs(self) -> bool:
        """Let tasks and executors of a host find no room for what they write, for a while."""
        worker = self.worker()
        if worker is None:
            return False
        self.note(f"no room for outputs on {worker.host.name}")
        worker.host.is_full = True
        self.later(self.rng.uniform(0.5, 5.0), setattr, worker.host, "is_full", False)
        return True

    def executors_die(self) -> bool:
        """Let executors end as soon as they start, for a while."""
        worker = self.worker()
        if worker is None:
            return False
        self.note(f"executors on {worker.host.name} die at start")
        worker.launcher.dies = True
        self.later(self.rng.uniform(0.5, 5.0), setattr, worker.launcher, "dies", False)
        return True

    def lose_files(self) -> bool:
        """Remove some map outputs of an executor that lives."""
        executor = self.executor()
        if executor is None or executor.session is None:
            return False
        files = sorted((executor.session.path / "shuffle").iterdir(), key=lambda path: path.name)
        if not files:
            return False
        chosen = self.rng.sample(files, min(len(files), self.rng.randint(1, 4)))
        self.note(f"lose {len(chosen)} files of {executor.process}")
        for path in chosen:
            path.unlink(missing_ok=True)
        return True
