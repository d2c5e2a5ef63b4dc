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
