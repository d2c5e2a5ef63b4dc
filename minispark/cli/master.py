"""`minispark master`: start a master and keep it running until it is told to stop or loses its leadership."""

import socket
from pathlib import Path

import click

from minispark.cli.daemon import Ended, run_daemon
from minispark.cli.exits import Exit, one_line_errors
from minispark.cli.settings import settings_options, settle
from minispark.conf import SparkConf
from minispark.deploy.master_process import MasterProcess, start_master
from minispark.deploy.secrets import daemon_secret, tls_contexts
from minispark.rpc.env import WILDCARDS
from minispark.rpc.world import World

__all__ = ["RunningMaster", "master"]


@click.command(short_help="Start a master: it gives the cores of its workers to applications.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; 0.0.0.0: on all addresses.")
@click.option("--port", type=click.IntRange(0, 65535), default=7077, show_default=True, help="0: any.")
@click.option("--advertise", metavar="NAME", help="The name that others connect to, if that is not --host.")
@settings_options
@click.option("--verbose", is_flag=True, help="Log every message.")
def master(
    host: str, port: int, advertise: str | None, conf_pairs: tuple[str, ...], properties_file: Path | None, *,
    verbose: bool,
) -> None:  # fmt: skip
    """Start a master: it gives the cores of its workers to applications.

    On loopback it makes the cluster's secret in ~/.minispark/secret at its first start. Elsewhere a secret must be
    there: copy that file, or set MINISPARK_SECRET or minispark.authenticate.secretFile.

    \b
    minispark master
    minispark master --host alpha --conf minispark.deploy.recoveryMode=filesystem \\
                     --conf minispark.deploy.recoveryDirectory=/shared/minispark

    SIGTERM and SIGINT stop it; what runs on the workers goes on. Exit codes: 0 it was stopped, 1 it lost its
    leadership or cannot keep its state, 2 a setting or the secret is wrong, 3 it cannot listen (a port in use).
    """
    with one_line_errors("master"):
        conf = settle({}, conf_pairs, properties_file)
        # Whoever says a port wants that one: workers and programs would look for the master there.
        conf.set_if_missing("minispark.port.maxRetries", 0)
        secret = daemon_secret(conf, host)
    name = advertise or (socket.gethostname() if host in WILDCARDS else None)
    run_daemon("master", lambda world: start(world, conf, secret, host, port, name), verbose=verbose)


async def start(
    world: World, conf: SparkConf, secret: bytes, host: str, port: int, advertise: str | None
) -> "RunningMaster":
    """Start the master."""
    tls = tls_contexts(conf)
    return RunningMaster(
        await start_master(
            world, conf, secret,
            host=host, port=port, advertised_host=advertise, server_tls=tls.server, client_tls=tls.client,
        )
    )  # fmt: skip


class RunningMaster:
    """A master as a daemon."""

    def __init__(self, process: MasterProcess) -> None:
        self.process = process
        self.title = f"master at {process.url}"

    async def ended(self) -> Ended:
        """Return why it must end."""
        return Ended(Exit.FAILED, await self.process.wait())

    async def stop(self) -> None:
        """Close its connections."""
        await self.process.close()

    def decommission(self) -> None:
        """Do nothing: a master has nothing to hand over, and rules until the end."""
