"""FileStore: who leads, and records that only the leader can write."""

import stat
from pathlib import Path

import pytest

from minispark.deploy.logic.effects import Forget, Persist
from minispark.deploy.logic.election import Claim
from minispark.deploy.persistence import FileStore
from minispark.errors import LeadershipLost, RecoveryStateError
from minispark.ids import WorkerId
from minispark.messages.deploy_records import WorkerEntry
from minispark.rpc.logic.address import RpcAddress
from minispark.testing.fakes import RecordingRef
from tests.rpc.samples import bind_fake


def worker(name: str, cores: int = 4) -> WorkerEntry:
    return WorkerEntry(WorkerId(name), name, RecordingRef("Worker", RpcAddress(name, 4000)), cores, 1 << 30)


def leader(directory: Path, term: int = 1, holder: str = "m1") -> FileStore:
    """Return the store of a master that leads."""
    store = FileStore(directory)
    assert store.claim(term, holder)
    store.load(term, bind_fake)
    return store


# -- records ---------------------------------------------------------------------------------------------------------


@pytest.mark.scenario("MST-008", "46216 recovery ± compression")
def test_the_next_leader_gets_what_was_kept(tmp_path: Path) -> None:
    first = leader(tmp_path)
    first.write(1, [Persist(worker("w1")), Persist(worker("w2"))])
    first.write(1, [Forget("worker_w1"), Persist(worker("w2", cores=8), is_new=False), Persist(worker("w3"))])
    second = FileStore(tmp_path)
    assert second.claim(2, "m2")

    assert second.load(2, bind_fake) == (worker("w2", cores=8), worker("w3"))


def test_forgetting_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    store = leader(tmp_path)

    store.write(1, [Forget("worker_w1")])

    assert list((tmp_path / "term-0000000001" / "records").iterdir()) == []


@pytest.mark.scenario(
    "MST-008",
    "persistence: filesystem (existing file error, missing parents, symlink, compression), key-value store, "
    "zookeeper",
)
def test_a_record_that_exists_parents_that_are_missing_and_a_symbolic_link(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "not" / "there" / "yet")
    (tmp_path / "not" / "there").mkdir(parents=True)
    (tmp_path / "not" / "there" / "yet").mkdir()
    store = leader(link)
    store.write(1, [Persist(worker("w1"))])

    with pytest.raises(RecoveryStateError, match=r"worker_w1 exists already.*Move the file away"):
        store.write(1, [Persist(worker("w1"))])
    assert leader(tmp_path / "a" / "b" / "c").latest() == Claim(1, 0, "m1")
    assert (tmp_path / "not/there/yet/term-0000000001/records/worker_w1").exists()


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    store = leader(tmp_path / "state")
    store.write(1, [Persist(worker("w1"))])

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").rglob("*")}
    modes["state"] = stat.S_IMODE((tmp_path / "state").stat().st_mode)

    assert {name: oct(mode) for name, mode in modes.items()} == {
        "state": "0o700", "term-0000000001": "0o700", "records": "0o700",
        "leader": "0o600", "lock": "0o600", "worker_w1": "0o600",
    }  # fmt: skip


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(RecoveryStateError, match=r"file/state cannot be made.*recoveryDirectory"):
        FileStore(tmp_path / "file" / "state")


def test_a_damaged_record_is_refused_and_stays_where_it_is(tmp_path: Path) -> None:
    leader(tmp_path).write(1, [Persist(worker("w1")), Persist(worker("w2"))])
    damaged = tmp_path / "term-0000000001" / "records" / "worker_w1"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    second = FileStore(tmp_path)
    second.claim(2, "m2")

    with pytest.raises(RecoveryStateError, match=r"term-0000000002/records/worker_w1 is damaged"):
        second.load(2, bind_fake)
    assert (tmp_path / "term-0000000002" / "records" / "worker_w1").exists()


def test_what_a_crash_left_half_written_is_not_read(tmp_path: Path) -> None:
    store = leader(tmp_path)
    store.write(1, [Persist(worker("w1"))])
    (tmp_path / "term-0000000001" / "records" / ".worker_w2").write_bytes(b"half")
    second = FileStore(tmp_path)
    second.claim(2, "m2")

    assert second.load(2, bind_fake) == (worker("w1"),)


# -- who leads -------------------------------------------------------------------------------------------------------


def test_nobody_led_yet(tmp_path: Path) -> None:
    assert FileStore(tmp_path).latest() is None


def test_one_term_has_one_leader(tmp_path: Path) -> None:
    stores = [FileStore(tmp_path) for _ in range(3)]

    assert [store.claim(1, f"m{number}") for number, store in enumerate(stores)] == [True, False, False]
    assert [store.latest() for store in stores] == [Claim(1, 0, "m0")] * 3


def test_a_renewal_is_seen(tmp_path: Path) -> None:
    store = leader(tmp_path)

    store.renew(1, 5)

    assert FileStore(tmp_path).latest() == Claim(1, 5, "m1")


def test_one_that_resigned_or_whose_process_is_gone_leads_no_more(tmp_path: Path) -> None:
    leader(tmp_path).resign(1)
    resigned = FileStore(tmp_path).latest()
    second = leader(tmp_path, 2, "m2")
    second.unlock()  # as the kernel does when a process ends

    assert resigned is not None
    assert resigned.is_over
    assert FileStore(tmp_path).latest() == Claim(2, 0, "m2", is_over=True)


def test_the_death_of_a_process_on_another_machine_is_not_guessed(tmp_path: Path) -> None:
    elsewhere = FileStore(tmp_path)
    elsewhere.boot_id = "another machine"
    elsewhere.claim(1, "m1")
    elsewhere.unlock()

    assert FileStore(tmp_path).latest() == Claim(1, 0, "m1")


def test_a_claim_that_was_never_finished_is_one(tmp_path: Path) -> None:
    (tmp_path / "term-0000000004").mkdir()

    assert FileStore(tmp_path).latest() == Claim(4, -1)


@pytest.mark.parametrize("note", [b"", b'{"holder": "m1", "be', b"[]", b"{}", b"\xff\x00"])
def test_a_note_that_a_crash_of_the_machine_left_half_is_as_none(tmp_path: Path, note: bytes) -> None:
    leader(tmp_path)
    (tmp_path / "term-0000000001" / "leader").write_bytes(note)

    assert FileStore(tmp_path).latest() == Claim(1, -1)


def test_a_superseded_leader_can_neither_renew_nor_write_nor_load(tmp_path: Path) -> None:
    first, second = leader(tmp_path), FileStore(tmp_path)
    second.claim(2, "m2")

    with pytest.raises(LeadershipLost, match="term 2"):
        first.renew(1, 1)
    with pytest.raises(LeadershipLost, match="term 2"):
        first.load(1, bind_fake)
    second.load(2, bind_fake)
    with pytest.raises(FileNotFoundError):
        first.write(1, [Persist(worker("w1"))])
    assert not (tmp_path / "term-0000000001").exists()


def test_a_claimant_that_was_overtaken_takes_no_records_back(tmp_path: Path) -> None:
    leader(tmp_path).write(1, [Persist(worker("w1"))])
    late, third = FileStore(tmp_path), FileStore(tmp_path)
    late.claim(2, "late")
    third.claim(3, "m3")
    third.load(3, bind_fake)

    with pytest.raises(LeadershipLost, match="term 3"):
        late.take_records(2)
    assert (tmp_path / "term-0000000003" / "records" / "worker_w1").exists()
