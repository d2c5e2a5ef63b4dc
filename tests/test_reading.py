from pathlib import Path
from typing import Any

import pytest

from minispark.context import SparkContext
from minispark.errors import ContextError
from tests.contexts import inline_conf, run_inline


def test_a_context_reads_files_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abcd")

    async def job(sc: SparkContext) -> Any:
        await sc.parallelize([1, 2], 2).save_as_pickle_file(tmp_path / "out")
        return [
            await sc.whole_text_files(tmp_path / "a").values().collect(),
            await sc.whole_text_files(tmp_path / "a", encoding="utf-16-le").values().collect(),
            await sc.binary_files(tmp_path / "a").values().collect(),
            await sc.binary_records(tmp_path / "a", 2).collect(),
            await sc.pickle_file(tmp_path / "out").collect(),
        ]

    assert run_inline(job) == [["abcd"], ["扡摣"], [b"abcd"], [b"ab", b"cd"], [1, 2]]


def test_a_context_that_was_not_started_reads_nothing() -> None:
    with pytest.raises(ContextError, match="was not started"):
        SparkContext("local", conf=inline_conf()).pickle_file("x")
