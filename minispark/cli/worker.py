"""`minispark worker`: start a worker and keep it running until it is told to stop, is done, or finds no master."""

import socket
from pathlib import Path
from typing import Final

import click

from minispark.cli.client import master_addresses
from minispark.cli.daemon import Ended, run_daemon
from minispark.cli.exits import Exit, one_line_errors
from minispark.cli.settings import settings_options, settle
from minispark.conf import SparkConf
from minispark.deploy.secrets import daemon_secret, tls_contexts
from minispark.deploy.worker_process import WorkerOptions, WorkerProcess, start_worker
from minispark.errors import ConfigurationError
from minispark.rpc.env import WILDCARDS
from minispark.rpc.world import World
from minispark.setting import parse_bytes

__all__ = ["RunningWorker", "memory_of", "options_of", "worker"]

NO_MASTER: Final = ("no master answers", "a master refused")
"""How the reasons begin that are about masters; others are about this machine."""


@click.command(short_help="Start a worker: it runs executors and drivers on this machine.")
@click.argument("master")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; 0.0.0.0: on all addresses.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0: any.")
@click.option("--advertise", metavar="NAME", help="The name that others connect to, if that is not --host.")
@click.option("--cores", type=click.IntRange(1), help="Cores to offer; by default all that this process may use.")
@click.option("--memory", metavar="SIZE", help="Memory to offer, as 16g; by default the machine's but 1g.")
@click.option(
    "--work-dir", type=click.Path(path_type=Path), help="Where logs and files of executors and drivers go.",
    show_default="~/.minispark/work/HOSTNAME",
)  # fmt: skip
@settings_options
@click.option("--verbose", is_flag=True, help="Log every message.")
def worker(
    master: str, host: str, port: int, advertise: str | None, cores: int | None, memory: str | None,
    work_dir: Path | None, conf_pairs: tuple[str, ...], properties_file: Path | None, *, verbose: bool,
) -> None:  # fmt: skip
    """Start a worker for MASTER (host:port, several with commas): it runs executors and drivers on this machine.

    It needs the secret of the master: ~/.minispark/secret, MINISPARK_SECRET or minispark.authenticate.secretFile.

    \b
    minispark worker localhost:7077
    minispark worker alpha:7077,beta:7077 --host gamma --cores 8 --memory 16g --work-dir /scratch/minispark

    SIGTERM and SIGINT end its executors in order, then it; SIGPWR lets them finish what they run first.

    Exit codes: 0 it was stopped, or is done, 1 it cannot go on, 2 a setting, the secret or --work-dir is wrong, 3 it
    cannot listen (a port in use), 4 no master answers.
    """
    with one_line_errors("worker"):
        conf = settle({}, conf_pairs, properties_file)
        options = options_of(conf, master, host, port, advertise, cores, memory, work_dir)
        secret = daemon_secret(conf, host)
    run_daemon("worker", lambda world: start(world, conf, options, secret), verbose=verbose)


def options_of(
    conf: SparkConf, master: str, host: str, port: int, advertise: str | None, cores: int | None, memory: str | None,
    work_dir: Path | None,
) -> WorkerOptions:  # fmt: skip
    """Return what the command line says about a worker.

    Raises:
        ConfigurationError: the master's address, the memory or a certificate is wrong.
    """
    tls = tls_contexts(conf)
    return WorkerOptions(
        masters=master_addresses(master),
        directory=work_dir or Path.home() / ".minispark" / "work" / socket.gethostname(),
        host=host,
        port=port,
        advertised_host=advertise or (socket.gethostname() if host in WILDCARDS else None),
        cores=cores or 0,
        memory_bytes=memory_of(memory),
        server_tls=tls.server,
        client_tls=tls.client,
    )


def memory_of(text: str | None) -> int:
    """Read the value of `--memory`; 0 if it was not given.

    Raises:
        ConfigurationError: it is no size, or none to speak of.
    """
    try:
        size = parse_bytes(text) if text is not None else 0
    except (ValueError, KeyError, OverflowError):
        size = -1
    if size < 0 or (text is not None and not size):
        raise ConfigurationError(f"--memory {text} is not a size: 16g, 512m") from None
    return size


async def start(world: World, conf: SparkConf, options: WorkerOptions, secret: bytes) -> "RunningWorker":
    """Start the worker."""
    return RunningWorker(await start_worker(world, conf, options, secret))


class RunningWorker:
    """A worker as a daemon."""

    def __init__(self, process: WorkerProcess) -> None:
        self.process = process
        self.title = process.title

    async def ended(self) -> Ended:
        """Return why it cannot go on, or that it is done."""
        reason = await self.process.ended()
        if not reason:
            return Ended(Exit.DONE, "all is finished, and nothing new was taken")
        return Ended(Exit.NO_MASTER if reason.startswith(NO_MASTER) else Exit.FAILED, reason)

    async def stop(self) -> None:
        """End its executors and drivers, and it."""
        await self.process.stop()

    def decommission(self) -> None:
        """Take nothing new and end when all is done."""
        self.process.decommission()
