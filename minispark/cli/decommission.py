"""`minispark decommission`: has the workers of some hosts finish what they run, hand it over, and end."""

import asyncio
from pathlib import Path

import click

from minispark.cli.client import ClusterClient, cluster_client, master_addresses
from minispark.cli.exits import one_line_errors
from minispark.cli.settings import settings_options, settle
from minispark.cli.status import master_or_default
from minispark.conf import SparkConf
from minispark.errors import ConfigurationError
from minispark.messages.deploy_clients import DecommissionWorkersOnHosts

__all__ = ["decommission", "leave"]


@click.command(short_help="Have the workers of some hosts finish what they run, then end.")
@click.argument("hosts", nargs=-1)
@click.option("--master", help="host:port, several with commas; by default minispark.master, else localhost:7077.")
@click.option("--all", "all_hosts", is_flag=True, help="The workers of all hosts.")
@settings_options
def decommission(
    hosts: tuple[str, ...],
    master: str | None,
    all_hosts: bool,
    conf_pairs: tuple[str, ...],
    properties_file: Path | None,
) -> None:
    """Have the workers of some hosts finish what they run, then end.

    HOSTS are named as `minispark status` names them. Their executors get no new tasks and hand over their blocks. The
    master must have minispark.decommission.enabled.

    \b
    minispark decommission alpha beta --master gamma:7077
    minispark decommission --all
    """
    with one_line_errors("decommission"):
        if bool(hosts) == all_hosts:
            raise ConfigurationError("name the hosts whose workers are to go, or say --all")
        count = asyncio.run(ask(settle({"minispark.master": master}, conf_pairs, properties_file), hosts))
    click.echo(f"{count} workers are told to go")


async def ask(conf: SparkConf, hosts: tuple[str, ...]) -> int:
    """Ask the cluster."""
    async with cluster_client(conf, master_addresses(master_or_default(conf))) as client:
        return await leave(client, hosts)


async def leave(client: ClusterClient, hosts: tuple[str, ...]) -> int:
    """Have the workers of hosts go, all if none is named; return how many.

    Raises:
        ConfigurationError: the master does not do that, or there is no worker on these hosts.
        RpcError: no master answers.
    """
    answer = await client.ask(DecommissionWorkersOnHosts(hosts))
    if not answer.done:
        raise ConfigurationError(answer.text)
    if not answer.count:
        raise ConfigurationError(f"there is no worker on {', '.join(hosts) or 'any host'}")
    return answer.count
