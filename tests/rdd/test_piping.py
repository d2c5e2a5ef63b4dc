"""Records go through programs of the system and come back as lines."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minispark.context import SparkContext
from minispark.errors import ConfigurationError
from minispark.executor.current_task import current_task_context
from minispark.rdd.piping import lines_through
from minispark.rdd.ports import JobRunner
from minispark.rdd.sources import parallelize
from tests.contexts import run_inline
from tests.rdd.conftest import Engine


@pytest.mark.scenario("HIS-007", "Piped")
def test_lines_go_through_a_program_for_each_partition(engine: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        records = parallelize(sc, [1, "b c", None, "é"], 2)
        return [
            await records.pipe("cat").collect(),
            await records.pipe(["wc", "-l"]).map(int).collect(),
            await records.pipe("sh -c 'cat > /dev/null; echo $GREETING'", {"GREETING": "hi there"}).collect(),
        ]

    assert engine(job) == [["1", "b c", "None", "é"], [2, 2], ["hi there"] * 2]


def test_a_program_may_write_before_it_has_read_and_stop_reading(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        many = parallelize(sc, ["x" * 1000] * 500, 1)
        return await many.pipe("cat").count(), await many.pipe("head -n 1").count(), await many.pipe("cat").take(1)

    assert serial(job) == (500, 1, ["x" * 1000])


@given(st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=40), max_size=20))
def test_every_text_of_one_line_comes_back_from_cat(texts: list[str]) -> None:
    assert list(lines_through(["cat"], {}, True, 0, iter(texts))) == texts


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("cat; printf 'no end'", ["a", "no end"]),
        ("cat > /dev/null", []),
        ("exec 1>&-; cat > /dev/null", []),
        ("printf '%0300000d' 0 | cat", ["0" * 300_000]),
    ],
)
def test_what_a_program_writes_need_not_end_like_a_line(program: str, expected: list[str]) -> None:
    assert list(lines_through(["sh", "-c", program], {}, True, 0, iter(["a"]))) == expected


@pytest.mark.scenario("HIS-007", "Piped")
def test_functions_before_a_program_find_their_task_and_add_to_accumulators() -> None:
    async def job(sc: SparkContext) -> Any:
        added = sc.accumulator(0)

        def partition_of(number: int) -> int:
            context = current_task_context()
            assert context is not None
            added.add(number)
            return context.partition_id

        found = await sc.parallelize([1, 2, 3], 3).map(partition_of).pipe("cat").collect()
        return found, added.value

    assert run_inline(job) == (["0", "1", "2"], 6)


def test_a_program_that_fails_fails_the_task_if_asked(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        records = parallelize(sc, [1], 1)
        assert await records.pipe("sh -c 'exit 3'").collect() == []
        return await records.pipe("sh -c 'exit 3'", check_code=True).collect()

    with pytest.raises(RuntimeError, match="ended with code 3"):
        serial(job)


def test_a_program_that_is_killed_always_fails_the_task(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        return await parallelize(sc, [1], 1).pipe("sh -c 'kill -9 $$'").collect()

    with pytest.raises(RuntimeError, match="ended with code -9"):
        serial(job)


def test_what_fails_before_the_program_fails_the_task(serial: Engine) -> None:
    async def job(sc: JobRunner) -> Any:
        return await parallelize(sc, [1, 0], 1).map(lambda n: 1 / n).pipe("cat").collect()

    with pytest.raises(ZeroDivisionError):
        serial(job)


def test_a_program_that_is_not_there_is_named(serial: Engine, tmp_path: Path) -> None:
    async def job(sc: JobRunner) -> Any:
        return await parallelize(sc, [1], 1).pipe([str(tmp_path / "nothing here")]).collect()

    with pytest.raises(RuntimeError, match=r"pipe cannot start .*nothing here"):
        serial(job)


@pytest.mark.parametrize("command", ["", [], "'unclosed"])
def test_a_command_without_a_program_is_refused(serial: Engine, command: Any) -> None:
    async def job(sc: JobRunner) -> Any:
        return parallelize(sc, [1]).pipe(command)

    with pytest.raises(ConfigurationError, match="pipe"):
        serial(job)


def test_a_reader_that_stops_early_ends_the_program() -> None:
    lines = lines_through(["yes"], {}, False, 0, iter([]))
    assert next(lines) == "y"
    lines.close()  # type: ignore[attr-defined]  # it is a generator; closing it waits for the program
    assert list(lines) == []
