import io
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.errors import InputDamaged
from minispark.storage import record_file
from minispark.storage.batches import dump_batches
from minispark.storage.record_file import read_batches, write_batches


def written(records: list[Any], compress: bool = True) -> bytes:
    file = io.BytesIO()
    write_batches(file, dump_batches(records, max_records=3), compress)
    return file.getvalue()


def read(data: bytes) -> list[Any]:
    return [record for batch in read_batches(io.BytesIO(data), "part-0") for record in batch]


@given(st.lists(st.one_of(st.integers(), st.text(), st.binary(max_size=2000), st.none())), st.booleans())
def test_records_are_read_as_they_were_written(records: list[Any], compress: bool) -> None:
    assert read(written(records, compress)) == records


def test_batches_that_become_smaller_are_compressed() -> None:
    records = ["a" * 10_000]
    assert len(written(records)) < 300 < 10_000 < len(written(records, compress=False))


@given(st.lists(st.text(), max_size=10), st.data())
def test_a_file_that_was_cut_off_is_never_taken_for_a_whole_one(records: list[str], data: st.DataObject) -> None:
    whole = written(records)
    length = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(InputDamaged, match="part-0"):
        read(whole[:length])


@given(st.lists(st.text(), min_size=1, max_size=10), st.data())
def test_a_flipped_bit_is_noticed_before_anything_is_unpickled(records: list[str], data: st.DataObject) -> None:
    damaged = bytearray(written(records))
    place = data.draw(st.integers(0, len(damaged) - 1))
    damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(InputDamaged):
        read(bytes(damaged))


def test_another_file_is_refused_by_name() -> None:
    with pytest.raises(InputDamaged, match="'part-0' is not a file of pickled records"):
        read(pickle.dumps([1]))


def test_what_follows_the_last_record_is_damage() -> None:
    with pytest.raises(InputDamaged, match="does not end"):
        read(written([1]) + b"x")


def test_a_batch_of_two_gigabytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_file, "LARGEST", 100)
    with pytest.raises(ValueError, match="less than 2 GiB"):
        written(["x" * 200])
