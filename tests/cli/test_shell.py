"""minispark.cli.shell: statements on the loop, values and tracebacks as at Python's own prompt, Ctrl-C."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from minispark.cli.shell import Console, LoopThread


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    with LoopThread() as made:
        yield made


def typed(loop: LoopThread, *lines: str) -> Console:
    console = Console({"__name__": "__main__"}, loop)
    for line in lines:
        assert not console.push(line), "the statement is complete"
    return console


def test_await_works_at_the_top_level(loop: LoopThread, capsys: pytest.CaptureFixture[str]) -> None:
    typed(loop, "import asyncio", "await asyncio.sleep(0, 7)", "x = await asyncio.sleep(0, 8)", "x + 1")

    assert capsys.readouterr().out == "7\n9\n"


def test_statements_run_on_the_loop_and_share_their_names(loop: LoopThread) -> None:
    console = typed(loop, "import asyncio", "running = asyncio.get_running_loop()", "async def f(): return running\n")

    assert console.locals["running"] is loop.loop


def test_a_traceback_begins_with_what_was_typed(loop: LoopThread, capsys: pytest.CaptureFixture[str]) -> None:
    typed(loop, "1 / 0", "async def f(): return [][1]\n", "await f()")

    shown = capsys.readouterr().err
    assert "ZeroDivisionError: division by zero" in shown
    assert "IndexError" in shown
    assert "shell.py" not in shown


def interrupt_when(started: threading.Event) -> threading.Thread:
    def wait_and_kill() -> None:
        started.wait(60)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=wait_and_kill)
    thread.start()
    return thread


@pytest.mark.parametrize(
    "statement",
    ["started.set(); await asyncio.Event().wait()", "started.set()\nwhile True: pass"],
)
def test_ctrl_c_ends_what_runs_and_the_prompt_goes_on(
    loop: LoopThread, capsys: pytest.CaptureFixture[str], statement: str
) -> None:
    started = threading.Event()
    console = Console({"started": started, "asyncio": asyncio}, loop)
    thread = interrupt_when(started)

    console.runsource(statement, symbol="exec")
    thread.join()
    console.push("'alive'")

    written = capsys.readouterr()
    assert written.err == "\nKeyboardInterrupt\n"
    assert written.out == "'alive'\n"


@pytest.mark.cluster
def test_a_session_has_a_context_and_its_own_classes() -> None:
    lines = (
        "class Pair:\n    def __init__(self, n): self.n = n\n\n"
        "[pair.n for pair in await sc.parallelize([1, 2]).map(Pair).collect()]\n"
        "await sc.parallelize(range(10)).sum()\n"
    )

    ended = subprocess.run(
        [sys.executable, "-m", "minispark", "shell", "--master", "local[1]"],
        input=lines, capture_output=True, text=True, check=False, timeout=60, env=dict(os.environ),
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    assert "[1, 2]\n" in ended.stdout
    assert "45\n" in ended.stdout
    assert "`sc` is a SparkContext on local[1]" in ended.stderr
