"""MemoryStore does what FileStore does: the same story is told to both."""

from collections.abc import Callable
from pathlib import Path

import pytest

from minispark.deploy.logic.effects import Forget, Persist
from minispark.deploy.persistence import FileStore, RecoveryStore
from minispark.errors import LeadershipLost, RecoveryStateError
from minispark.ids import WorkerId
from minispark.messages.deploy_records import WorkerEntry
from minispark.rpc.logic.address import RpcAddress
from minispark.testing.fakes import RecordingRef
from minispark.testing.recovery_store import MemoryStore
from tests.rpc.samples import bind_fake

W1, W2 = (
    WorkerEntry(WorkerId(name), name, RecordingRef("Worker", RpcAddress(name, 4000)), 4, 1 << 30)
    for name in ("w1", "w2")
)


@pytest.fixture(params=["files", "memory"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], RecoveryStore]:
    """Return what gives each master its store."""
    shared = MemoryStore()
    return (lambda: shared) if request.param == "memory" else (lambda: FileStore(tmp_path))


def test_terms_follow_each_other(stores: Callable[[], RecoveryStore]) -> None:
    first, second = stores(), stores()

    assert first.latest() is None
    assert first.claim(1, "m1")
    assert not second.claim(1, "m2")
    first.renew(1, 4)
    seen = second.latest()
    assert seen is not None
    assert (seen.term, seen.beat, seen.holder, seen.is_over) == (1, 4, "m1", False)
    first.resign(1)
    seen = second.latest()
    assert seen is not None
    assert seen.is_over


def test_records_go_to_the_next_leader_and_only_it_can_write(stores: Callable[[], RecoveryStore]) -> None:
    first, second = stores(), stores()
    first.claim(1, "m1")
    assert first.load(1, bind_fake) == ()
    first.write(1, [Persist(W1), Persist(W2), Forget("worker_w1"), Forget("worker_w9")])
    with pytest.raises(RecoveryStateError):
        first.write(1, [Persist(W2)])

    second.claim(2, "m2")

    with pytest.raises(LeadershipLost):
        first.renew(1, 1)
    assert second.load(2, bind_fake) == (W2,)
    with pytest.raises(FileNotFoundError):
        first.write(1, [Persist(W1)])


def test_a_disk_that_is_gone_fails_every_call() -> None:
    store = MemoryStore()
    store.claim(1, "m1")
    store.failure = OSError("the disk is gone")

    for call in (store.latest, lambda: store.claim(2, "m"), lambda: store.renew(1, 1), lambda: store.write(1, [])):
        with pytest.raises(OSError, match="gone"):
            call()
