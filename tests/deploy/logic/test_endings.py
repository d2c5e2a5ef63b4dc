"""minispark.deploy.logic.endings."""

import pytest

from minispark.deploy.logic.endings import ending


@pytest.mark.parametrize(
    ("exit_code", "oom_kills", "text"),
    [
        (0, 0, "exit code 0"),
        (3, 0, "exit code 3"),
        (56, 0, "exit code 56 (heartbeat failure: the driver did not answer)"),
        (143, 0, "exit code 143 (SIGTERM)"),
        (-9, 0, "killed by SIGKILL (out of memory?)"),
        (-9, 1, "killed by SIGKILL (out of memory: the kernel ended it)"),
        (-11, 1, "killed by SIGSEGV"),
        (-150, 0, "killed by signal 150"),
    ],
)
def test_the_end_of_a_process_is_told_in_words(exit_code: int, oom_kills: int, text: str) -> None:
    assert ending(exit_code, oom_kills=oom_kills) == text


def test_a_kill_of_the_worker_itself_is_said_to_be_one() -> None:
    assert ending(-9, oom_kills=1, forced="which had to") == "killed by SIGKILL (by its worker, which had to)"
    assert ending(-15, forced="which had to") == "killed by SIGTERM"
