"""Jobs over files of a server that refuses, or stands still."""

import logging
import traceback
from collections.abc import Iterator

import pytest

from minispark.context import SparkContext
from minispark.errors import StorageError
from minispark.messages.listener import ListenerEvent
from minispark.testing.virtual_loop import settle
from tests.contexts import run_inline
from tests.stub_files import TOKEN, StubFiles, stub_files

URL = "stub://bob:secret@host"


class Recorder:
    def __init__(self) -> None:
        self.seen: list[ListenerEvent] = []

    def on_event(self, event: ListenerEvent) -> None:
        self.seen.append(event)


@pytest.fixture
def server() -> Iterator[type[StubFiles]]:
    with stub_files() as server:
        yield server


async def read_and_refuse(sc: SparkContext, server: type[StubFiles]) -> None:
    StubFiles().pipe_file(f"{URL}/in/a.txt", b"one\ntwo\n")
    lines = sc.text_file(f"{URL}/in").set_name(f"{URL}/in")
    assert await lines.count() == 2
    server.refuses = True
    await lines.count()


async def list_what_is_refused(sc: SparkContext, server: type[StubFiles]) -> None:
    server.refuses = True
    await sc.text_file(f"{URL}/in").count()


async def save_where_it_is_refused(sc: SparkContext, server: type[StubFiles]) -> None:
    server.refuses = True
    await sc.range(3).save_as_text_file(f"{URL}/out")


async def checkpoint_where_it_is_refused(sc: SparkContext, server: type[StubFiles]) -> None:
    server.refuses = True
    sc.set_checkpoint_dir(f"{URL}/kept")
    await sc.range(3).checkpoint().count()


@pytest.mark.parametrize(
    "action", [read_and_refuse, list_what_is_refused, save_where_it_is_refused, checkpoint_where_it_is_refused]
)
def test_nothing_that_a_failed_job_leaves_holds_a_password(
    server: type[StubFiles], caplog: pytest.LogCaptureFixture, action: object
) -> None:
    caplog.set_level(logging.DEBUG)
    recorder = Recorder()

    async def scenario(sc: SparkContext) -> str:
        sc.add_listener(recorder)
        sc.set_job_group("nightly", f"lines of {URL}/in")
        with pytest.raises((PermissionError, StorageError), match=r"stub://bob:…@host") as caught:
            await action(sc, server)  # type: ignore[operator]  # one of the above
        await settle()
        return "".join(traceback.format_exception(caught.value))

    text = run_inline(scenario)

    assert "refused" in text
    assert "bob" in text
    logs = [record.getMessage() for record in caplog.records if record.name.startswith("minispark")]
    for where in (text, str(recorder.seen), str(logs)):
        assert "secret@" not in where
        assert TOKEN not in where
