"""Cluster: the tables of a master, and what is to be done. The parts of the master's machine share it.

Nothing here decides; `logic.membership` is the machine. A worker or an application is looked up by the address of its
env, too, because a connection's end is all that is heard of one that died.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from minispark.deploy.logic.effects import Effect, Inform, Send, Warn
from minispark.deploy.logic.members import Application, Driver, Executor, Worker
from minispark.ids import ApplicationId, DriverId, WorkerId
from minispark.messages.deploy_values import MasterState, WorkerState
from minispark.record import Record, record
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.message import Message
from minispark.rpc.ref import RpcEndpointRef

if TYPE_CHECKING:
    from random import Random

__all__ = ["Cluster", "MasterRules"]

T = TypeVar("T")


@record
class MasterRules(Record):
    """The settings of `minispark.deploy.*` and `minispark.worker.timeout` that decisions depend on; seconds.

    `default_cores` 0: all there are; `max_drivers` 0: any number; `max_executor_retries` −1: any number.
    """

    spread_out_apps: bool = True
    spread_out_drivers: bool = True
    worker_selection_policy: str = "cores_free_desc"
    default_cores: int = 0
    max_drivers: int = 0
    max_executor_retries: int = 10
    worker_timeout_s: float = 60.0
    dead_worker_persistence: int = 15
    recovery_timeout_s: float = 60.0
    retained_applications: int = 200
    retained_drivers: int = 200
    decommission_enabled: bool = False


class Cluster:
    """Who is there, who waits, who is gone.

    Args:
        rules: settings.
        rng: spreads drivers.
        master: the Master endpoint, for those who are to answer.
        url: its address, for people.
        master_at: the same endpoint under another address of its, which some peer uses.

    Attributes:
        phase: what this master does.
        term: of its leadership; 0 before the first.
        now_s: monotonic time of the message that is being handled; `wall_s` the same since the epoch.
        workers: all but dead ones; `dead` are listed for people.
        waiting_drivers: those without a worker, first come first served; also in `drivers`.
        effects: what is to be done, in order.
        changed: resources or wishes are not what they were when executors and drivers were placed last.
    """

    def __init__(
        self,
        rules: MasterRules,
        rng: "Random",
        master: RpcEndpointRef,
        url: str,
        master_at: Callable[[RpcAddress], RpcEndpointRef],
    ) -> None:
        self.rules = rules
        self.rng = rng
        self.master = master
        self.url = url
        self.master_at = master_at
        self.phase = MasterState.STANDBY
        self.term = 0
        self.now_s = 0.0
        self.wall_s = 0.0
        self.workers: dict[WorkerId, Worker] = {}
        self.worker_at: dict[RpcAddress, Worker] = {}
        self.dead: dict[WorkerId, Worker] = {}
        self.apps: dict[ApplicationId, Application] = {}
        self.app_at: dict[RpcAddress, Application] = {}
        self.completed_apps: list[Application] = []
        self.drivers: dict[DriverId, Driver] = {}
        self.waiting_drivers: dict[DriverId, Driver] = {}
        self.completed_drivers: list[Driver] = []
        self.effects: list[Effect] = []
        self.changed = False

    def send(self, to: RpcEndpointRef, message: Message) -> None:
        """Have a message sent."""
        self.effects.append(Send(to, message))

    def inform(self, text: str) -> None:
        """Have a line logged."""
        self.effects.append(Inform(text))

    def warn(self, text: str) -> None:
        """Have a warning logged."""
        self.effects.append(Warn(text))

    def executors(self) -> list[Executor]:
        """Return all executors that hold resources."""
        return [executor for worker in self.workers.values() for executor in worker.executors.values()]

    def check(self) -> None:
        """Assert the invariants."""
        for worker_id, worker in self.workers.items():
            assert worker.worker_id == worker_id
            assert worker.state is not WorkerState.DEAD
            check_resources(worker)
        for app in self.apps.values():
            assert app.cores_granted == sum(executor.cores for executor in app.executors.values())
            assert not app.executors.keys() & app.leaving.keys()
            assert app.next_number <= app.entry.numbers_below
            for executor in (*app.executors.values(), *app.leaving.values()):
                assert self.workers[executor.worker.worker_id] is executor.worker
                assert executor.worker.executors[app.app_id, executor.number] is executor
        for executor in self.executors():
            assert self.apps[executor.app.app_id] is executor.app
        self.check_drivers()
        assert not self.workers.keys() & self.dead.keys()
        assert sorted(self.worker_at.values(), key=id) == sorted(self.workers.values(), key=id)
        assert sorted(self.app_at.values(), key=id) == sorted(self.apps.values(), key=id)

    def check_drivers(self) -> None:
        """Assert what drivers must be."""
        for driver_id, driver in self.drivers.items():
            assert driver.worker is None or driver.worker.drivers[driver_id] is driver
            assert driver_id not in self.waiting_drivers or driver.worker is None
        assert self.waiting_drivers.keys() <= self.drivers.keys()
        for worker in self.workers.values():
            assert worker.drivers.keys() <= self.drivers.keys()


def check_resources(worker: Worker) -> None:
    """Assert that a worker's accounts are right, and that it gives no more than it has."""
    executors, drivers = worker.executors.values(), [driver.entry.description for driver in worker.drivers.values()]
    cores = sum(executor.cores for executor in executors) + sum(driver.cores for driver in drivers)
    memory = sum(executor.memory_bytes for executor in executors) + sum(driver.memory_bytes for driver in drivers)
    assert (worker.cores_used, worker.memory_used_bytes) == (cores, memory)
    assert 0 <= worker.cores_used <= worker.entry.cores
    assert 0 <= worker.memory_used_bytes <= worker.entry.memory_bytes


def retain(ended: list[T], one_more: T, limit: int) -> None:
    """Keep something that has ended for people to see; at the limit the oldest tenth is forgotten."""
    if len(ended) >= limit:
        del ended[: max(limit // 10, 1)]
    if limit:
        ended.append(one_more)
