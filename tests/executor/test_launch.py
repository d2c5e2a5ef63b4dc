import logging
import subprocess
import sys

import pytest

CODE = """
import logging
from minispark.executor.launch import log_to_stderr
log_to_stderr({level!r})
logging.getLogger("minispark.test").debug("fine")
logging.getLogger("minispark.test").warning("beware")
"""


@pytest.mark.cluster
@pytest.mark.parametrize(("level", "lines"), [("debug", ["fine", "beware"]), ("nonsense", ["beware"])])
def test_the_log_goes_to_stderr_with_time_and_level(level: str, lines: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CODE.format(level=level)], capture_output=True, text=True, check=True
    )

    said = ended.stderr.splitlines()
    assert [line.rsplit(": ", 1)[1] for line in said] == lines
    assert f" {logging.getLevelName(logging.WARNING)} minispark.test: " in said[-1]


ENDING = """
import asyncio, os, signal
from minispark.executor.launch import ignore_sigterm

async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, print, "too late")
    ignore_sigterm(loop)
    return 3

code = asyncio.run(main())
os.kill(os.getpid(), signal.SIGTERM)
raise SystemExit(code)
"""


@pytest.mark.cluster
def test_a_process_that_ends_is_not_killed_by_a_signal_that_comes_late() -> None:
    ended = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stdout) == (3, "")
