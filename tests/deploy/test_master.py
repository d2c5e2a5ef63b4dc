"""Master: does what its machine says once it is on disk, and nothing after its leadership has ended."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple

import pytest

from minispark.conf import SparkConf
from minispark.deploy.master import rules_of
from minispark.deploy.master_process import MasterProcess, start_master
from minispark.ids import ApplicationId, WorkerId
from minispark.messages.deploy import (
    MasterInStandby,
    RegisteredWorker,
    RegisterWorker,
    RegisterWorkerFailed,
    RequestExecutors,
    WorkerHeartbeat,
)
from minispark.messages.deploy_clients import MasterStatus, RequestMasterStatus
from minispark.messages.deploy_values import MasterState
from minispark.rpc.logic.address import RpcAddress
from minispark.testing.fakes import RecordingContext, RecordingRef
from minispark.testing.memory_network import MemoryNetwork
from minispark.testing.recovery_store import MemoryStore
from minispark.testing.virtual_loop import VirtualLoop, VirtualWorld, run_virtual, settle

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

SECRET = b"the secret of this cluster"
CONF = SparkConf({"minispark.worker.timeout": "60s", "minispark.deploy.leaderLease": "10s"})


class HeldWorld(VirtualWorld):
    """A world whose disk waits while the test holds it."""

    held: asyncio.Event | None = None

    async def run_blocking(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        if self.held is not None and function.__name__ == "write":
            await self.held.wait()
        return function(*args)


async def started(store: MemoryStore | None = None, world: VirtualWorld | None = None) -> MasterProcess:
    """Start a master; with a store it has been elected when this returns, if it can be."""
    master = await start_master(world or VirtualWorld(1, MemoryNetwork()), CONF, SECRET, port=0, store=store)
    await settle()
    return master


def register(master: MasterProcess, name: str = "w1") -> RecordingRef:
    """Have a worker register, by hand."""
    worker = RecordingRef("Worker", RpcAddress(name, 4000))
    message = RegisterWorker(WorkerId(name), name, worker, 4, 1 << 30, master.address)
    master.endpoint.receive(message, RecordingContext(is_ask=False))
    return worker


def test_rules_come_from_the_settings() -> None:
    rules = rules_of(SparkConf({"minispark.deploy.maxExecutorRetries": -1, "minispark.worker.timeout": "20s"}))

    assert (rules.max_executor_retries, rules.worker_timeout_s, rules.recovery_timeout_s) == (-1, 20.0, 20.0)


def test_without_a_store_it_leads_at_once_in_the_first_term() -> None:
    async def main() -> tuple[MasterStatus, str]:
        master = await started()
        status = await master.ref.ask(RequestMasterStatus())
        await master.close()
        return status, master.url

    status, url = run_virtual(main())

    assert (status.state, status.term, status.url) == (MasterState.ALIVE, 1, url)


def test_silent_workers_are_found_by_a_timer() -> None:
    async def main() -> tuple[int, int]:
        master = await started()
        register(master)
        workers = master.endpoint.machine.cluster.workers
        await asyncio.sleep(50)
        before = len(workers)
        await asyncio.sleep(40)
        await master.close()
        return before, len(workers)

    assert run_virtual(main()) == (1, 0)


def test_a_worker_is_answered_when_its_record_is_on_disk() -> None:
    async def main() -> tuple[list[Any], list[Any], list[str]]:
        store, world = MemoryStore(), HeldWorld(1, MemoryNetwork())
        master = await started(store, world)
        world.held = asyncio.Event()
        worker = register(master)
        await settle()
        before = list(worker.sent)
        world.held.set()
        await settle()
        await master.close()
        return before, list(worker.sent), list(store.records)

    before, after, records = run_virtual(main())

    assert before == []
    assert [type(message) for message in after] == [RegisteredWorker]
    assert records == ["worker_w1"]


def test_a_slow_disk_holds_up_neither_heartbeats_nor_those_who_only_look() -> None:
    async def main() -> tuple[MasterStatus, float]:
        store, world = MemoryStore(), HeldWorld(1, MemoryNetwork())
        master = await started(store, world)
        worker = register(master)
        await settle()
        world.held = asyncio.Event()
        register(master, "w2")
        await asyncio.sleep(5)
        master.endpoint.receive(WorkerHeartbeat(WorkerId("w1"), worker), RecordingContext(is_ask=False))
        status = await master.ref.ask(RequestMasterStatus())
        world.held.set()
        await master.close()
        return status, status.workers[0].heartbeat_age_s

    status, age_s = run_virtual(main())

    assert [worker.worker_id for worker in status.workers] == ["w1", "w2"]
    assert age_s == 0.0


def test_a_master_that_cannot_write_ends_and_says_nothing_more() -> None:
    async def main() -> tuple[str, list[Any]]:
        store = MemoryStore()
        master = await started(store)
        store.failure = OSError(28, "No space left on device")
        worker = register(master)
        reason = await master.wait()
        register(master)
        await settle()
        await master.close()
        return reason, list(worker.sent)

    reason, sent = run_virtual(main())

    assert "records cannot be written" in reason
    assert "No space left" in reason
    assert sent == []


def test_a_record_that_cannot_be_encoded_ends_a_master_that_would_wait_for_it_for_ever() -> None:
    async def main() -> str:
        master = await started(MemoryStore())
        worker = RecordingRef("Worker", RpcAddress("w1", 4000))
        register_it = RegisterWorker(WorkerId("w1"), "h1", worker, 1 << 70, 1, master.address)
        master.endpoint.receive(register_it, RecordingContext(is_ask=False))
        reason = await master.wait()
        await master.close()
        return reason

    assert run_virtual(main()) == "its records were not written"


def test_a_leader_that_was_frozen_wakes_up_and_says_nothing() -> None:
    """Given a process that is stopped for longer than its lease, and a message that waits for it."""

    async def main() -> tuple[list[Any], list[str], str]:
        store = MemoryStore()
        master = await started(store)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.now += 11.0  # nothing ran meanwhile
        worker = register(master)
        reason = await master.wait()
        await settle()
        await master.close()
        return list(worker.sent), list(store.records), reason

    sent, _, reason = run_virtual(main())

    assert sent == []
    assert "not renewed" in reason


@pytest.mark.parametrize("in_order", [True, False])
def test_a_standby_goes_on_where_the_leader_ended(in_order: bool) -> None:
    async def main() -> tuple[list[Any], MasterState, int, list[WorkerId]]:
        store, network = MemoryStore(), MemoryNetwork()
        first = await started(store, VirtualWorld(1, network))
        second = await started(store, VirtualWorld(2, network))
        told = register(second).take()
        register(first)
        await settle()
        await (first.close() if in_order else first.env.close())
        await asyncio.sleep(3 if in_order else 20)
        status = await second.ref.ask(RequestMasterStatus())
        await second.close()
        return told, status.state, status.term, [worker.worker_id for worker in status.workers]

    told, state, term, workers = run_virtual(main())

    assert told == [MasterInStandby()]
    assert (state, term, workers) == (MasterState.RECOVERING, 2, ["w1"])


def test_recovery_ends_when_its_time_is_up() -> None:
    async def main() -> tuple[MasterState, int]:
        store = MemoryStore()
        before = await started(store)
        register(before)
        await settle()
        await before.close()
        after = await started(store)
        await asyncio.sleep(61)
        status = await after.ref.ask(RequestMasterStatus())
        await after.close()
        return status.state, len([each for each in status.workers if each.state.name == "ALIVE"])

    assert run_virtual(main()) == (MasterState.ALIVE, 0)


def test_a_worker_that_cannot_be_connected_to_is_gone_because_it_never_heard_its_orders() -> None:
    async def main() -> tuple[int, int]:
        master = await started()
        workers = master.endpoint.machine.cluster.workers
        register(master)
        await settle()
        before = len(workers)
        master.endpoint.on_network_error(OSError("no route"), RpcAddress("w1", 4000))
        await master.close()
        return before, len(workers)

    assert run_virtual(main()) == (1, 0)


def test_an_ended_leader_answers_nobody() -> None:
    async def main() -> tuple[list[Any], list[Any]]:
        store = MemoryStore()
        master = await started(store)
        master.endpoint.step_down("the test wants it")
        worker, context = register(master), RecordingContext()
        master.endpoint.receive(RequestExecutors(ApplicationId("a"), 1), context)
        master.endpoint.on_disconnected(RpcAddress("w1", 4000))
        await master.close()
        return list(worker.sent), list(context.replies)

    assert run_virtual(main()) == ([], [])


def test_an_error_of_the_machine_gives_its_replies_to_nobody_else() -> None:
    async def main() -> tuple[list[Any], list[Any]]:
        master = await started()
        cluster = master.endpoint.machine.cluster
        context = RecordingContext()
        cluster.warn("left behind")
        worker = RecordingRef("Worker", RpcAddress("w1", 4000))
        with pytest.raises(AttributeError):
            master.endpoint.receive(RegisterWorker(WorkerId("w1"), "h", None, 1, 1, master.address), context)  # type: ignore[arg-type]
        left = list(cluster.effects)
        await master.close()
        return left, list(worker.of(RegisterWorkerFailed))

    assert run_virtual(main()) == ([], [])


def test_a_thousand_workers_heartbeat_for_next_to_nothing() -> None:
    async def main() -> float:
        master = await started()
        beats = [WorkerHeartbeat(WorkerId(f"w{n}"), register(master, f"w{n}")) for n in range(1000)]
        context = RecordingContext(is_ask=False)
        began_s = time.process_time()  # what others do meanwhile does not count
        for beat in beats:
            master.endpoint.receive(beat, context)
        took_s = time.process_time() - began_s
        await master.close()
        return took_s

    assert run_virtual(main()) < 0.25  # about 0.001 on an idle machine
