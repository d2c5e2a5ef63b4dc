"""Records on disk: what comes back is what was kept, or an error that says what to do."""

from pathlib import Path

import pytest

from minispark.deploy.record_file import read_record, record_bytes
from minispark.errors import RecoveryStateError
from minispark.ids import DriverId, WorkerId
from minispark.messages.deploy_records import DriverEntry, WorkerEntry
from minispark.messages.deploy_values import DriverDescription, ShippedFile
from minispark.rpc.logic.address import RpcAddress
from minispark.testing.fakes import RecordingRef
from tests.rpc.samples import bind_fake

WORKER = WorkerEntry(WorkerId("w1"), "h1", RecordingRef("Worker", RpcAddress("h1", 4000)), 4, 1 << 30)


def kept(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / WORKER.key
    path.write_bytes(content)
    return path


def test_a_record_comes_back_with_its_refs(tmp_path: Path) -> None:
    assert read_record(kept(tmp_path, record_bytes(WORKER)), bind_fake) == WORKER


def test_files_that_go_with_a_driver_come_back(tmp_path: Path) -> None:
    files = (ShippedFile("job.py", b"x" * 10_000), ShippedFile("small", b"y"), ShippedFile("data", b"z" * 9000))
    entry = DriverEntry(DriverId("d1"), DriverDescription(("job.py",), 1, 1, True, {"A": "b"}, files), 1.5)
    path = tmp_path / entry.key
    path.write_bytes(record_bytes(entry))

    assert read_record(path, bind_fake) == entry


@pytest.mark.parametrize("position", [0, 18, 30, 45, -1])
def test_a_changed_byte_is_found_and_the_file_named(tmp_path: Path, position: int) -> None:
    content = bytearray(record_bytes(WORKER))
    content[position] ^= 1

    with pytest.raises(RecoveryStateError, match=r"worker_w1 .*(move it away|another version)"):
        read_record(kept(tmp_path, bytes(content)), bind_fake)


@pytest.mark.parametrize("length", [0, 5, 25, 60])
def test_a_cut_file_is_found(tmp_path: Path, length: int) -> None:
    with pytest.raises(RecoveryStateError, match="worker_w1"):
        read_record(kept(tmp_path, record_bytes(WORKER)[:length]), bind_fake)


def test_a_later_format_is_not_taken_for_damage(tmp_path: Path) -> None:
    content = record_bytes(WORKER).replace(b"record 1", b"record 2", 1)

    with pytest.raises(RecoveryStateError, match="another version of minispark"):
        read_record(kept(tmp_path, content), bind_fake)


def test_a_file_under_another_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "worker_w2"
    path.write_bytes(record_bytes(WORKER))

    with pytest.raises(RecoveryStateError, match="another record than its name says"):
        read_record(path, bind_fake)
