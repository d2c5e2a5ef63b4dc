"""`minispark run`: a program with a cluster of its own, under srun, mpirun or pdsh: one command on every node.

Rank 0 is master, worker and driver; the others are workers. All end together, with the program's exit code.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import uvloop

from minispark.cli.client import cluster_client, master_addresses
from minispark.cli.daemon import log_to_stderr
from minispark.cli.exits import Exit, one_line_errors
from minispark.cli.rendezvous import Meeting, Rendezvous, job_of, rank_of
from minispark.cli.settings import settings_options, settle
from minispark.cli.submit import interpreter_command, program_environment
from minispark.cli.worker import memory_of
from minispark.conf import SparkConf
from minispark.deploy import driver_process
from minispark.deploy.master_process import start_master
from minispark.deploy.processes import limit
from minispark.deploy.secrets import SECRET_VARIABLE, tls_contexts
from minispark.deploy.worker_process import WorkerOptions, WorkerProcess, start_worker
from minispark.errors import ConfigurationError, MiniSparkError, RpcError
from minispark.messages.deploy_values import WorkerState
from minispark.rpc.world import ChildProcess, SystemWorld, World

__all__ = ["Node", "run"]

POLL_S: Final = 0.2
LEAVE_S: Final = 5.0
SILENCE_S: Final = 15.0


@dataclass(frozen=True)
class Node:
    """One process of a run.

    Attributes:
        conf: settings of master, worker and program.
        rendezvous: where the nodes meet.
        rank: 0 leads.
        count: how many nodes there are.
        host: the name by which the others reach this one.
        patience_s: how long the nodes wait for each other.
        cores: of this node's worker; 0: all.
        memory_bytes: of this node's worker; 0: all but a share.
        command: the program's command line.
    """

    conf: SparkConf
    rendezvous: Rendezvous
    rank: int
    count: int
    host: str
    patience_s: float
    cores: int
    memory_bytes: int
    command: Sequence[str]


@click.command(
    short_help="Run a program with a cluster of its own, under srun, mpirun or pdsh.",
    context_settings={"allow_interspersed_args": False},
)
@click.option("--nnodes", type=click.IntRange(1), required=True, help="How many processes there are of this command.")
@click.option("--rank", type=click.IntRange(0), help="Which one this is; srun and mpirun say it, else first come.")
@click.option("--rendezvous", type=click.Path(path_type=Path), help="A new directory that all nodes see, to meet in.")
@click.option("--host", help="The name by which the other nodes reach this one.  [default: its host name]")
@click.option("--cores", type=click.IntRange(1), help="Cores of this node's worker; by default all.")
@click.option("--memory", metavar="SIZE", help="Memory of this node's worker; by default the machine's but 1g.")
@click.option(
    "--timeout", type=click.FloatRange(1), default=300.0, show_default=True, help="Seconds for all to come."
)
@settings_options
@click.argument("app", type=click.Path(exists=True))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(
    nnodes: int, rank: int | None, rendezvous: Path | None, host: str | None, cores: int | None, memory: str | None,
    timeout: float, conf_pairs: tuple[str, ...], properties_file: Path | None, app: str, arguments: tuple[str, ...],
) -> None:  # fmt: skip
    """Run the program APP with a cluster of its own: the same command on every node.

    Rank 0 is master, worker and driver, the others are workers. When all have come the program starts, with its
    master and secret in its environment. All end together, with the program's exit code.

    \b
    srun -N 4 --ntasks-per-node=1 minispark run --nnodes 4 -- app.py 2024
    mpirun -n 4 --map-by node minispark run --nnodes 4 -- app.py 2024
    pdsh -w 'node[1-4]' minispark run --nnodes 4 --rendezvous ~/run-17 -- app.py 2024

    Other exit codes: 1 rank 0 or the master is gone, 2 an argument is wrong, 4 the nodes did not come in time.
    """
    log_to_stderr(verbose=False)
    limit(os.getpid())
    with one_line_errors("run"):
        conf = settle({}, conf_pairs, properties_file).set_if_missing("minispark.app.name", Path(app).name)
        place = Rendezvous(rendezvous or default_place())
        found = rank_of(os.environ) if rank is None else rank
        node = Node(
            conf, place, place.claim_rank(nnodes) if found is None else found, nnodes, host or socket.gethostname(),
            timeout, cores or 0, memory_of(memory), interpreter_command(app, arguments),
        )  # fmt: skip
        if node.rank >= nnodes:
            raise ConfigurationError(f"rank {node.rank} is none of --nnodes {nnodes}")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code = runner.run(lead(node, SystemWorld()) if node.rank == 0 else follow(node, SystemWorld()))
    sys.exit(code)


def default_place() -> Path:
    """Return the directory in which the processes of one srun or mpirun meet.

    Raises:
        ConfigurationError: the launcher has no name for the job.
    """
    job = job_of(os.environ)
    if job is None:
        raise ConfigurationError("where do the nodes meet? --rendezvous DIR, a new directory that all of them see")
    return Path.home() / ".minispark" / "run" / f"job-{job}"


async def lead(node: Node, world: World) -> int:
    """Be rank 0: master, worker, and the program's parent; return the program's exit code."""
    secret = world.secret_bytes(32).hex().encode()
    tls = tls_contexts(node.conf)
    master = await start_master(
        world, node.conf, secret, host=node.host, port=0, server_tls=tls.server, client_tls=tls.client
    )
    meeting = Meeting(master.address.host_port, secret, world.secret_bytes(8).hex())
    code = int(Exit.NO_MASTER)
    try:
        worker = await join(node, world, meeting)
        try:
            node.rendezvous.open(meeting)
            await all_come(node, world, meeting)
            code = await run_program(node, world, meeting)
        finally:
            node.rendezvous.end(meeting, code)
            await all_leave(node, world)
            await worker.stop()
    finally:
        await master.close()
        node.rendezvous.remove()
    return code


async def follow(node: Node, world: World) -> int:
    """Be a worker until the program has ended; return its exit code.

    Raises:
        RpcError: rank 0 did not come.
    """
    meeting = await meet(node, world)
    told = ended_by_signal()
    worker = await join(node, world, meeting)
    heard = world.monotonic()
    try:
        async with cluster_client(node.conf, master_addresses(meeting.master), meeting.secret) as client:
            while not told:
                code = node.rendezvous.ended(meeting)
                if code is not None:
                    node.rendezvous.leave(node.rank)
                    return code
                try:
                    await client.status()
                    heard = world.monotonic()
                except RpcError as error:
                    if world.monotonic() - heard > SILENCE_S:
                        raise MiniSparkError(f"rank 0 is gone: {error}") from None
                await world.sleep(POLL_S)
    finally:
        await worker.stop()
    return 128 + told[0]


def ended_by_signal() -> list[int]:
    """Return a list that will hold the signals that ask this process to end."""
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.append, number)
    return told


async def meet(node: Node, world: World) -> Meeting:
    """Wait for a master of rank 0 that answers: the directory may hold what an earlier run left.

    Raises:
        RpcError: there is none within the patience of the node.
    """
    deadline = world.monotonic() + node.patience_s
    trouble = f"nothing in {node.rendezvous.path}"
    while world.monotonic() < deadline:
        meeting = node.rendezvous.meeting()
        if meeting is not None:
            async with cluster_client(node.conf, master_addresses(meeting.master), meeting.secret) as client:
                try:
                    await client.status()
                except RpcError as error:
                    trouble = str(error)
                else:
                    return meeting
        await world.sleep(POLL_S)
    raise RpcError(f"rank 0 did not come within {node.patience_s:.0f} s: {trouble}")


async def join(node: Node, world: World, meeting: Meeting) -> WorkerProcess:
    """Start this node's worker."""
    tls = tls_contexts(node.conf)
    options = WorkerOptions(
        masters=master_addresses(meeting.master),
        directory=Path.home() / ".minispark" / "work" / socket.gethostname(),
        host=node.host,
        cores=node.cores,
        memory_bytes=node.memory_bytes,
        server_tls=tls.server,
        client_tls=tls.client,
    )
    return await start_worker(world, node.conf, options, meeting.secret)


async def all_come(node: Node, world: World, meeting: Meeting) -> None:
    """Wait until every node's worker is registered.

    Raises:
        RpcError: they are not within the patience of the node.
    """
    deadline = world.monotonic() + node.patience_s
    async with cluster_client(node.conf, master_addresses(meeting.master), meeting.secret) as client:
        while True:
            found = (await client.status()).workers
            alive = sum(worker.state is WorkerState.ALIVE for worker in found)
            if alive >= node.count:
                return
            if world.monotonic() > deadline:
                raise RpcError(f"{alive} of {node.count} nodes came within {node.patience_s:.0f} s")
            await world.sleep(POLL_S)


async def run_program(node: Node, world: World, meeting: Meeting) -> int:
    """Run the program to its end; return its exit code. What asks this process to end is passed on to it."""
    settings = node.conf.copy().set_master(f"minispark://{meeting.master}")
    environment = {**program_environment(settings, os.environ), SECRET_VARIABLE: meeting.secret.decode()}
    # It goes with this process, even if that is killed.
    tied = [sys.executable, "-P", "-S", driver_process.__file__, str(os.getpid())]
    program: ChildProcess = world.spawn_process([*tied, *node.command], environment=environment)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, program.send_signal, number)
    code = await world.run_blocking(program.wait)
    return code if code >= 0 else 128 - code


async def all_leave(node: Node, world: World) -> None:
    """Give the others a moment to read how it ended."""
    deadline = world.monotonic() + LEAVE_S
    while node.rendezvous.number_left() < node.count - 1 and world.monotonic() < deadline:
        await world.sleep(POLL_S / 4)
