"""minispark.ui.progress: one line, on terminals only, gone at the end."""

import io

import pytest

from minispark.ids import ExecutorId, StageId, TaskId
from minispark.messages.listener import StageCompleted, StageInfo, StageSubmitted, TaskEnd, TaskInfo, TaskStart
from minispark.messages.task import DirectResult, Success, TaskEndReason, TaskMetrics, UnknownReason
from minispark.ui.progress import CLEAR, ProgressLine


class Terminal(io.StringIO):
    """A terminal that remembers."""

    def isatty(self) -> bool:
        return True


class Driven:
    """A progress line with a clock and a stage that a test moves on."""

    def __init__(self, stream: io.StringIO) -> None:
        self.now_s = 50.0
        self.stream = stream
        self.line = ProgressLine(stream, lambda: self.now_s)

    def submit(self, number: int = 0, tasks: int = 4) -> None:
        self.line.on_event(StageSubmitted(self.stage(number, tasks), {}))

    def complete(self, number: int = 0) -> None:
        self.line.on_event(StageCompleted(self.stage(number, 4)))

    def start(self, number: int = 0) -> None:
        self.line.on_event(TaskStart(StageId(number), 0, task()))

    def end(self, number: int = 0, reason: TaskEndReason | None = None) -> None:
        success = Success(DirectResult(False, ()), TaskMetrics())
        self.line.on_event(TaskEnd(StageId(number), 0, task(), reason or success))

    @staticmethod
    def stage(number: int, tasks: int) -> StageInfo:
        return StageInfo(StageId(number), 0, "count at a.py:1", tasks, (), False, 0.0, 0.0, "", TaskMetrics())


def task() -> TaskInfo:
    return TaskInfo(TaskId(0), 0, 0, 0, ExecutorId("driver"), "localhost", 0.0, 0.0)


@pytest.fixture
def driven(monkeypatch: pytest.MonkeyPatch) -> Driven:
    monkeypatch.setenv("COLUMNS", "120")
    return Driven(Terminal())


def test_the_line_shows_what_is_done_and_what_runs(driven: Driven) -> None:
    driven.submit()
    driven.start()
    driven.start()
    driven.now_s += 2
    driven.end()
    assert driven.stream.getvalue() == ""  # the slot is about to be filled
    driven.start()

    bar = "━" * 6 + "╶" * 18
    assert driven.stream.getvalue() == f"{CLEAR}stage 0 count at a.py:1 {bar} 1/4, 2 running, 2 s"


def test_failures_are_counted_apart(driven: Driven) -> None:
    driven.submit()
    driven.start()
    driven.now_s += 1
    driven.end(reason=UnknownReason("lost"))

    assert "0/4, 0 running, 1 failed, 1 s" in driven.stream.getvalue()


def test_a_short_job_draws_nothing(driven: Driven) -> None:
    driven.submit()
    for _ in range(4):
        driven.start()
        driven.end()
    driven.complete()

    assert driven.stream.getvalue() == ""


def test_it_draws_at_most_ten_times_a_second(driven: Driven) -> None:
    driven.submit(tasks=1000)
    driven.now_s += 1
    for _ in range(1000):
        driven.end()

    assert driven.stream.getvalue().count(CLEAR) == 1


def test_the_line_is_taken_away_when_the_last_stage_ends(driven: Driven) -> None:
    driven.submit(0)
    driven.submit(1)
    driven.now_s += 1
    driven.end()
    assert driven.stream.getvalue().endswith("  (and 1 more)")

    driven.complete(0)
    driven.complete(1)

    assert driven.stream.getvalue().endswith(CLEAR)


def test_a_line_is_cut_to_the_terminal(driven: Driven, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    driven.submit()
    driven.now_s += 1
    driven.end()

    assert len(driven.stream.getvalue().removeprefix(CLEAR)) == 29


def test_nothing_is_written_but_to_a_terminal() -> None:
    driven = Driven(io.StringIO())
    driven.submit()
    driven.now_s += 1
    driven.end()
    driven.complete()

    assert driven.stream.getvalue() == ""


def test_events_of_a_stage_that_is_not_known_are_no_trouble(driven: Driven) -> None:
    driven.start(7)
    driven.end(7)
    driven.complete(7)

    assert driven.stream.getvalue() == ""
