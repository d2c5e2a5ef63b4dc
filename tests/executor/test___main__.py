import subprocess
import sys

import pytest


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("words", "text"), [([], "--driver --executor-id"), (["--driver", "x"], "--executor-id --host")]
)
def test_a_wrong_command_line_ends_with_one_line_that_says_what_is_right(words: list[str], text: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "minispark.executor", *words], capture_output=True, text=True, check=False
    )

    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"minispark.executor: {text}")
    assert "python -m minispark.executor --driver HOST:PORT" in line
