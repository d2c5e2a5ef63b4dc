import subprocess
import sys

import pytest

from minispark import __version__


@pytest.mark.cluster
def test_the_command_line_is_there_as_a_module() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "minispark", "--version"], capture_output=True, text=True, check=True, timeout=60
    )

    assert shown.stdout == f"minispark, version {__version__}\n"
