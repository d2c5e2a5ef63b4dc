"""`minispark cluster`: masters and workers on many machines, started and stopped over the system's `ssh`.

Each machine is told by one shell script, on the standard input of `ssh HOST sh -s`: so the secret is on no command
line. A daemon's pid and log are in ~/.minispark/run of its machine.
"""

import concurrent.futures
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from minispark.cli.exits import Exit, one_line_errors
from minispark.cli.settings import settings_options, settle
from minispark.conf import SparkConf
from minispark.deploy.secrets import SECRET_VARIABLE, daemon_secret
from minispark.errors import ConfigurationError

__all__ = ["Answer", "Machine", "cluster", "machines_of", "start_script", "stop_script"]

AT_ONCE: Final = 32
PATIENCE_S: Final = 30
STOP_S: Final = 15

START: Final = """\
umask 077
mkdir -p "$HOME/.minispark/run" && cd "$HOME/.minispark/run" || exit 1
if [ -s {name}.pid ] && grep -qs minispark "/proc/$(cat {name}.pid)/cmdline"; then echo "runs already"; exit 0; fi
{secret_variable}={secret}; export {secret_variable}
[ ! -s {name}.log ] || mv -f {name}.log {name}.log.1
: >{name}.log
nohup setsid {command} >>{name}.log 2>&1 </dev/null &
echo $! >{name}.pid
tries=0
until grep -qs ' INFO minispark .* is ready' {name}.log; do
    if ! kill -0 "$(cat {name}.pid)" 2>/dev/null; then tail -n 3 {name}.log >&2; rm -f {name}.pid; exit 1; fi
    tries=$((tries + 1))
    if [ $tries -gt {patience} ]; then echo "not ready after {patience_s} s, see $PWD/{name}.log" >&2; exit 1; fi
    sleep 0.1
done
echo started
"""
STOP: Final = """\
cd "$HOME/.minispark/run" 2>/dev/null && [ -s {name}.pid ] || {{ echo "does not run"; exit 0; }}
pid=$(cat {name}.pid)
if grep -qs minispark "/proc/$pid/cmdline"; then
    kill -TERM "$pid"
    tries=0
    while kill -0 "$pid" 2>/dev/null && [ $tries -lt {patience} ]; do tries=$((tries + 1)); sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null && echo killed || echo stopped
else
    echo "does not run"
fi
rm -f {name}.pid
"""


@dataclass(frozen=True)
class Machine:
    """One line of the list of hosts.

    Attributes:
        destination: what ssh is given: host, or user@host.
    """

    destination: str

    @property
    def host(self) -> str:
        """The name by which the daemons of this machine are reached."""
        return self.destination.rpartition("@")[2]


@dataclass(frozen=True)
class Answer:
    """What became of one daemon on one machine."""

    machine: Machine
    role: str
    done: bool
    text: str


@click.group(short_help="Start or stop masters and workers on many machines over ssh.")
def cluster() -> None:
    """Start or stop a master and workers on many machines over ssh.

    HOSTS is a file with a host, or user@host, a line; # begins a comment. The first is the master's, and every one of
    them gets a worker. ssh must log in without a question, and minispark be installed at the same path everywhere.

    \b
    printf 'alpha\\nbeta\\ngamma\\n' > hosts.txt
    minispark cluster up hosts.txt --cores 8 --memory 16g
    minispark submit --master minispark://alpha:7077 app.py
    minispark cluster down hosts.txt

    The exit code is 1 if a daemon could not be started or stopped; the others are.
    """


HOSTS = click.argument("hosts", type=click.Path(path_type=Path, exists=True, dir_okay=False))


@cluster.command()
@HOSTS
@click.option("--port", type=click.IntRange(1, 65535), default=7077, show_default=True, help="The master's port.")
@click.option("--cores", type=click.IntRange(1), help="Cores of each worker; by default all of its machine.")
@click.option("--memory", metavar="SIZE", help="Memory of each worker; by default its machine's but a share.")
@click.option("--python", default=sys.executable, help="The interpreter on the machines; by default this one's path.")
@settings_options
def up(
    hosts: Path, port: int, cores: int | None, memory: str | None, python: str, conf_pairs: tuple[str, ...],
    properties_file: Path | None,
) -> None:  # fmt: skip
    """Start the master on the first host, then a worker on each."""
    with one_line_errors("cluster up"):
        conf = settle({}, conf_pairs, properties_file)
        machines = machines_of(hosts)
        # Made here if there is none: it goes to the machines through ssh, which keeps it to itself.
        secret = daemon_secret(conf, "localhost")
    settings = [part for key, value in remote_settings(conf) for part in ("--conf", f"{key}={value}")]
    limits = [*(["--cores", str(cores)] if cores else []), *(["--memory", memory] if memory else [])]
    first = machines[0].host

    def master_script(name: str, machine: Machine) -> str:
        command = [python, "-m", "minispark", "master", "--host", machine.host, "--port", str(port), *settings]
        return start_script(name, command, secret)

    def worker_script(name: str, machine: Machine) -> str:
        command = [python, "-m", "minispark", "worker", f"{first}:{port}", "--host", machine.host]
        return start_script(name, [*command, *limits, *settings], secret)

    answers = tell(machines[:1], "master", master_script)
    if answers[0].done:
        answers += tell(machines, "worker", worker_script)
    finish(answers)
    click.echo(f"now: minispark submit --master minispark://{first}:{port} app.py")


@cluster.command()
@HOSTS
def down(hosts: Path) -> None:
    """Stop the workers, which end their executors in order, then the master."""
    with one_line_errors("cluster down"):
        machines = machines_of(hosts)
    answers = tell(machines, "worker", lambda name, _: stop_script(name))
    answers += tell(machines[:1], "master", lambda name, _: stop_script(name))
    finish(answers)


def machines_of(hosts: Path) -> list[Machine]:
    """Read the list of hosts.

    Raises:
        ConfigurationError: it names none, one twice, or something that is no host.
    """
    lines = [line.partition("#")[0].strip() for line in hosts.read_text(encoding="utf-8").splitlines()]
    machines = [Machine(line) for line in lines if line]
    if not machines:
        raise ConfigurationError(f"{hosts} names no host")
    for number, machine in enumerate(machines):
        if machine in machines[:number]:
            raise ConfigurationError(f"{hosts} names {machine.destination} twice")
        # What begins with a dash would be an option of ssh.
        if machine.destination.startswith("-") or len(machine.destination.split()) > 1 or not machine.host:
            raise ConfigurationError(f"{machine.destination!r} in {hosts} is not a host, or user@host")
    return machines


def remote_settings(conf: SparkConf) -> list[tuple[str, str]]:
    """Return the settings that the daemons get: all but the secret's file, which is on this machine."""
    return [(key, value) for key, value in conf.get_all() if key != "minispark.authenticate.secretFile"]


def start_script(name: str, command: Sequence[str], secret: bytes) -> str:
    """Return what a machine's shell is to do to start a daemon and see it ready.

    Args:
        name: of its files of pid and log.
        command: its command line.
        secret: of the cluster; it comes into the daemon's environment.
    """
    return START.format(
        name=shlex.quote(name), command=shlex.join(command), secret_variable=SECRET_VARIABLE,
        secret=shlex.quote(secret.decode(errors="surrogateescape")), patience=PATIENCE_S * 10, patience_s=PATIENCE_S,
    )  # fmt: skip


def stop_script(name: str) -> str:
    """Return what a machine's shell is to do to stop a daemon and see it gone."""
    return STOP.format(name=shlex.quote(name), patience=STOP_S * 10)


def tell(machines: Sequence[Machine], role: str, script: Callable[[str, Machine], str]) -> list[Answer]:
    """Have the machines run their scripts, many at once; return what became of each, in their order."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return list(
            pool.map(lambda machine: over_ssh(machine, role, script(f"{role}-{machine.host}", machine)), machines)
        )


def over_ssh(machine: Machine, role: str, script: str) -> Answer:
    """Have one machine run a script."""
    try:
        ended = subprocess.run(
            ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", machine.destination, "sh", "-s"],
            input=script.encode(errors="surrogateescape"), capture_output=True, check=False,
            timeout=PATIENCE_S + STOP_S + 15,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return Answer(machine, role, done=False, text=str(error))
    said = (ended.stdout if ended.returncode == 0 else ended.stderr or ended.stdout).decode(errors="replace").strip()
    return Answer(machine, role, done=ended.returncode == 0, text=said or f"ssh ended with code {ended.returncode}")


def finish(answers: Iterable[Answer]) -> None:
    """Tell what became of each daemon; end with a code if one failed."""
    failed = False
    for answer in answers:
        failed |= not answer.done
        click.echo(f"{answer.machine.host}: {answer.role}: {' '.join(answer.text.split())}", err=not answer.done)
    if failed:
        raise SystemExit(int(Exit.FAILED))
