"""The data path of an executor process: what it serves to other processes and fetches from them.

The composition root of the process makes one on its env, gives `fetcher` to its `Executor`, and lets runners write
map outputs under `output_location`: with a shuffle service on the host that has the service's port, so that readers
go to whoever is still there when this process is gone. The executor's id stays, by which outputs are counted as lost.
"""

from dataclasses import replace
from pathlib import Path

from minispark.messages.task import BlockManagerId
from minispark.messages.transfer import GetMigrationPeers
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.ref import RpcEndpointRef
from minispark.shuffle.fetcher import Fetcher
from minispark.shuffle.migrator import MapOutputMigrator, MapOutputTaker
from minispark.shuffle.service import register_directory
from minispark.shuffle.serving import MapOutputServer
from minispark.storage.transfer import BlockFiles, BlockService, OwnDirectory, Transfer

__all__ = ["ExecutorData"]


class ExecutorData:
    """Service, channels and fetcher of one executor process.

    Args:
        env: the executor's, which listens.
        location: where its blocks are.
        service: the host's shuffle service; None without one.

    Attributes:
        files: serves blocks that are files; who keeps some elsewhere sets its `find`.
        blocks: the bulk service "blocks", to which other rooms may add.
        transfer: channels to other processes, which other rooms may use.
        fetcher: fetches for the runners.
        taker: takes map outputs of executors that go; its `is_leaving` is to be set.
        output_location: what map statuses say.
    """

    def __init__(self, env: RpcEnv, location: BlockManagerId, service: RpcAddress | None = None) -> None:
        self.location = location
        self.service = service
        self.output_location = location if service is None else replace(location, port=service.port)
        directories = OwnDirectory(location)
        self.blocks = BlockService(env)
        MapOutputServer(env.world, directories).add_to(self.blocks)
        self.files = BlockFiles(env.world, directories)
        self.files.add_to(self.blocks)
        self.transfer = Transfer(env)
        self.fetcher = Fetcher(self.transfer, location.directory)
        max_disk_bytes = env.conf.storage_decommission_max_disk
        self.taker = MapOutputTaker(
            env.world, location.directory, self.output_location, max_disk_bytes=max_disk_bytes
        )
        self.taker.add_to(self.blocks)

    async def start(self, below: Path) -> None:
        """Register with the shuffle service, if there is one; before a task writes map outputs.

        Args:
            below: the directory that the worker gave the application, `--directory`'s parent.

        Raises:
            MiniSparkError: the service cannot be reached, or refuses.
        """
        if self.service is not None:
            await register_directory(self.transfer, self.service, self.location, below)

    def migrator(self, tracker: RpcEndpointRef) -> MapOutputMigrator:
        """Return what hands this executor's map outputs over when it goes.

        Args:
            tracker: the driver's MapOutputTracker.
        """

        async def peers() -> tuple[BlockManagerId, ...]:
            answer = await tracker.ask(GetMigrationPeers(self.location.executor_id))
            return answer.locations

        return MapOutputMigrator(self.transfer, self.location.directory, tracker, peers, self.transfer.env.conf)

    def close(self) -> None:
        """Close the channels that nobody uses."""
        self.transfer.close()
