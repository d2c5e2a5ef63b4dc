"""`minispark submit`: run a program here, or have the cluster run it; ask for and end one that the cluster runs.

In client mode this process becomes the program: the interpreter is executed anew in its place. So tracebacks, Ctrl-C,
exit code and `__main__` are those of `python app.py`, and nothing of the command line stays in memory.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from minispark.cli.exits import Exit, fail, one_line_errors
from minispark.cli.settings import listed_files, settings_options, settle
from minispark.conf import SparkConf
from minispark.errors import ConfigurationError
from minispark.urls import shown, shown_setting

__all__ = ["interpreter_command", "program_environment", "submit"]

OPTIONS: Final = {
    "master": "minispark.master",
    "name": "minispark.app.name",
    "py_files": "minispark.submit.pyFiles",
    "files": "minispark.files",
    "archives": "minispark.archives",
    "executor_cores": "minispark.executor.cores",
    "executor_memory": "minispark.executor.memory",
    "total_executor_cores": "minispark.cores.max",
    "num_executors": "minispark.executor.instances",
    "driver_cores": "minispark.driver.cores",
    "driver_memory": "minispark.driver.memory",
    "supervise": "minispark.driver.supervise",
}


@click.command(
    short_help="Run a program, here or on the cluster.",
    context_settings={"allow_interspersed_args": False},
    options_metavar="[OPTIONS]",
)
@click.option("--master", metavar="URL", help="local[N], or minispark://host:7077 of a cluster.")
@click.option(
    "--deploy-mode", type=click.Choice(["client", "cluster"]), default="client", show_default=True,
    help="Whether the program runs here or on a worker.",
)  # fmt: skip
@click.option("--name", help="The application's name; by default that of the program's file.")
@settings_options
@click.option("--py-files", metavar="LIST", help="Modules and zip files, by comma, that the program imports.")
@click.option("--files", metavar="LIST", help="Files, by comma, that every executor gets.")
@click.option("--archives", metavar="LIST", help="Archives, by comma, unpacked at every executor: env.zip#name.")
@click.option("--executor-cores", metavar="N", help="Cores of each executor.")
@click.option("--executor-memory", metavar="SIZE", help="Memory of each executor, as 2g.")
@click.option("--total-executor-cores", metavar="N", help="Cores of all executors together.")
@click.option("--num-executors", metavar="N", help="Executors to begin with.")
@click.option("--driver-cores", metavar="N", help="Cores of the driver, in cluster mode.")
@click.option("--driver-memory", metavar="SIZE", help="Memory of the driver, in cluster mode.")
@click.option("--supervise", is_flag=True, default=None, help="Start a failed driver again, in cluster mode.")
@click.option("--kill", "kill_id", metavar="ID", help="End that driver; no APP then.")
@click.option("--status", "status_id", metavar="ID", help="Say how that driver is; no APP then.")
@click.option("--verbose", is_flag=True, help="Say with which settings the program runs.")
@click.argument("app", required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def submit(
    app: str | None,
    arguments: tuple[str, ...],
    deploy_mode: str,
    conf_pairs: tuple[str, ...],
    properties_file: Path | None,
    kill_id: str | None,
    status_id: str | None,
    verbose: bool,
    **options: Any,
) -> None:
    """Run the program APP with ARGUMENTS, here or on the cluster.

    What follows APP belongs to it, --help too. A setting in the program's code wins over these options, they win over
    the environment (MINISPARK_TASK_MAXFAILURES=8), that over --properties-file.

    \b
    minispark submit examples/word_count.py
    minispark submit --master minispark://alpha:7077 --executor-memory 2g app.py 2024
    minispark submit --master minispark://alpha:7077 --deploy-mode cluster --supervise app.py
    minispark submit --master minispark://alpha:7077 --status driver-20261122-0001

    The exit code is the program's, in client mode. In cluster mode the driver's id is printed, and the exit code is
    0 when the master has taken it (with --conf minispark.standalone.submit.waitAppCompletion=true: when the program
    has ended well), 1 if the program failed or the master refused it, 2 for wrong arguments, 4 if no master answers.
    """
    with one_line_errors("submit"):
        settings = {OPTIONS[name]: value for name, value in options.items()}
        conf = settle(settings, conf_pairs, properties_file)
        if kill_id or status_id:
            sys.exit(int(drivers().ask_about(conf, kill_id, status_id)))
        if app is None:
            raise ConfigurationError("which program? minispark submit [OPTIONS] app.py [ARGUMENTS]")
        check(app, conf)
        conf.set_if_missing("minispark.app.name", Path(app).name)
        if verbose:
            tell(conf, app, arguments)
        if deploy_mode == "cluster":
            sys.exit(int(drivers().submit_driver(conf, app, arguments)))
    become(interpreter_command(app, arguments), program_environment(conf, os.environ))


def drivers() -> Any:
    """Load what talks to a cluster: a program that runs here needs none of it, and shall start at once."""
    from minispark.cli import drivers

    return drivers


def check(app: str, conf: SparkConf) -> None:
    """Look that every file is there before anything starts.

    Raises:
        ConfigurationError: one is missing; the message names it and who asked for it.
    """
    if not Path(app).exists():
        raise ConfigurationError(f"there is no program {app}")
    for setting, text in (("--py-files", conf.py_files), ("--files", conf.files), ("--archives", conf.archives)):
        for path in listed_files(text):
            if not path.exists():
                raise ConfigurationError(f"there is no {path}, which {setting} names")


def tell(conf: SparkConf, app: str, arguments: Sequence[str]) -> None:
    """Say on stderr what is about to run, without passwords."""
    click.echo(shown(f"program: {app} {' '.join(arguments)}".rstrip()), err=True)
    for key, value in conf.get_all():
        click.echo(f"setting: {key} = {shown_setting(key, value)}", err=True)


def interpreter_command(app: str, arguments: Sequence[str]) -> list[str]:
    """Return the command line of a program, with the flags of this interpreter."""
    # Python's own list of flags to hand on (-W, -X, -O …), which multiprocessing uses too.
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return [sys.executable, *flags, app, *arguments]


def program_environment(conf: SparkConf, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program: its settings, and its py-files on the path of modules.

    Of a module's file the folder comes on the path, as that of the program does.
    """
    found = {name: value for name, value in environment.items() if name.upper() not in conf.environment()}
    paths = [path.absolute() for path in listed_files(conf.py_files)]
    on_path = dict.fromkeys(str(path.parent if path.suffix == ".py" else path) for path in paths)
    if environment.get("PYTHONPATH"):
        on_path[environment["PYTHONPATH"]] = None
    if on_path:
        found["PYTHONPATH"] = os.pathsep.join(on_path)
    return {**found, **conf.environment()}


def become(command: list[str], environment: Mapping[str, str]) -> None:
    """Run a command in this process's place."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(command[0], command, dict(environment))
    except OSError as error:
        fail("submit", f"cannot run {command[0]}: {error.strerror}", Exit.FAILED)
