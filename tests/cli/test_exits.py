"""minispark.cli.exits: errors that people can act on are one line and a code; bugs keep their traceback."""

import pytest

from minispark.cli.exits import Exit, one_line_errors
from minispark.errors import ConfigurationError, ExecutorLost, RpcError


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConfigurationError("wrong\n  twice"), 2), (RpcError("away"), 4), (ExecutorLost("gone"), 1),
     (PermissionError("no"), 1), (KeyboardInterrupt(), 130)],
)  # fmt: skip
def test_an_error_is_one_line_and_its_code(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, one_line_errors("test"):
        raise error

    written = capsys.readouterr().err
    assert ended.value.code == code
    assert written.startswith("minispark test: ")
    assert len(written.splitlines()) == 1


def test_what_goes_wrong_between_processes_has_the_code_that_the_command_gives() -> None:
    with pytest.raises(SystemExit) as ended, one_line_errors("test", Exit.CANNOT_LISTEN):
        raise RpcError("in use")

    assert ended.value.code == 3


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), one_line_errors("test"):
        print(1 // 0)  # noqa: T201 — never printed
