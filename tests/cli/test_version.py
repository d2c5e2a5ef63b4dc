import platform

from click.testing import CliRunner

from minispark import __version__
from minispark.cli.main import main


def test_the_versions_that_must_agree_are_told() -> None:
    output = CliRunner().invoke(main, ["version"]).output

    assert output.startswith(f"minispark {__version__}\nPython {platform.python_version()} ")
