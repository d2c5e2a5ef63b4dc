"""Distribution: what the driver hands out to all executors, broadcasts and added files. Loaded at its first use.

In local mode the tasks map and read the driver's own files; in a cluster the driver tells executors who has them, and
serves them over bulk connections. Made by `Driver.distribution`, called by SparkContext.
"""

import asyncio
import itertools
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from minispark.conf import SparkConf
from minispark.errors import ConfigurationError
from minispark.executor.runners import RunnerPool
from minispark.executor.session import SessionDirectory, local_directory
from minispark.ids import BroadcastId, ExecutorId
from minispark.messages.distribution import AddedFile, FileKind, FileSet, GetFiles
from minispark.messages.endpoints import BROADCAST_MASTER, FILE_MASTER
from minispark.messages.runner import (
    AnswerFailed,
    BroadcastFile,
    FilesReady,
    NeedBroadcast,
    RunnerReply,
    RunnerRequest,
)
from minispark.messages.task import BlockManagerId
from minispark.rdd import broadcast, spark_files
from minispark.rdd.broadcast import Broadcast
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.env import RpcEnv
from minispark.rpc.world import World
from minispark.storage.added_files import Examined, examine
from minispark.storage.broadcast_master import BroadcastMaster
from minispark.storage.broadcast_store import SERVICE, BroadcastStore
from minispark.storage.broadcast_writer import BroadcastWriter
from minispark.storage.file_root import FileRoot

__all__ = ["Distribution"]

T = TypeVar("T")

MAX_REMEMBERED: Final = 1000  # destroyed broadcasts whose line is told to late readers
DRIVER: Final = ExecutorId("driver")

versions = itertools.count(1)
"""One sequence per process: a runner thread never takes the files of one context for another's."""


class FileMaster(RpcEndpoint):
    """Tells executors which files there are."""

    def __init__(self, distribution: "Distribution") -> None:
        self.distribution = distribution

    def receive(self, message: GetFiles, context: CallContext) -> None:
        """Answer with the files of now, which are as new as anybody asks for."""
        context.reply(self.distribution.files)


class Distribution:
    """The driver's broadcasts and files.

    Args:
        conf: the application's settings.
        world: files are written and read off the loop where that can wait.
        env: the driver's; where it listens, executors of other processes are served.
        session: the session directory of local mode; without one the driver gets its own.
        pool: local mode's runners.

    Attributes:
        files: what was added.
    """

    def __init__(
        self, conf: SparkConf, world: World, env: RpcEnv, session: SessionDirectory | None, pool: RunnerPool | None
    ) -> None:
        self.world = world
        self.env = env
        self.pool = pool
        self.own_session = None if session else SessionDirectory.create(local_directory(conf), world.secret_bytes)
        directory = str((session or self.own_session).path)  # type: ignore[union-attr]  # one of them is there
        self.store = BroadcastStore(directory, world)
        at_once = conf.executor_pool == "inline"
        self.writer = BroadcastWriter(self.store, world, self.note_gone, at_once=at_once)
        self.root = FileRoot(directory)
        self.files = FileSet(0, ())
        self.sources: dict[str, Examined] = {}
        self.adding = asyncio.Lock()  # one file after another: names must not be taken twice
        self.gone: dict[BroadcastId, str] = {}
        self.master: BroadcastMaster | None = None
        self.closed = False
        if env.address is not None:
            location = BlockManagerId(DRIVER, env.address.host, env.address.port, directory)
            self.master = BroadcastMaster(self.store, location, world, env.scope, self.writer.when_written)
            env.setup_endpoint(BROADCAST_MASTER, self.master)
            env.setup_endpoint(FILE_MASTER, FileMaster(self))
            env.bulk.serve(SERVICE, self.store.serve)

    # -- broadcasts --------------------------------------------------------------------------------------------------

    def broadcast(self, value: T) -> Broadcast[T]:
        """Write a value for the tasks; see `SparkContext.broadcast`."""
        broadcast_id = broadcast.new_id()
        self.writer.write(broadcast_id, *broadcast.dump_value(value))
        return broadcast.make_broadcast(broadcast_id, value, self)

    def broadcast_binary(self, data: bytes) -> BroadcastId:
        """Write a large binary of a stage, which executors get like a broadcast; its value is never kept."""
        broadcast_id = broadcast.new_id()
        self.writer.write(broadcast_id, data)
        return broadcast_id

    def tell(self, broadcast_id: BroadcastId) -> None:
        """Have local runners let a value go."""
        if self.pool is not None and not self.closed:
            self.pool.forget_broadcasts((broadcast_id,))

    async def unpersist_broadcast(self, broadcast_id: BroadcastId) -> None:
        """Have the executors let a value go; see `rdd.broadcast.BroadcastHome`."""
        self.tell(broadcast_id)
        if self.master is not None:
            self.master.unpersist(broadcast_id)

    async def destroy_broadcast(self, broadcast_id: BroadcastId, destroyed: str) -> None:
        """Remove a value everywhere; see `rdd.broadcast.BroadcastHome`."""
        self.remove(broadcast_id, destroyed)

    def drop_broadcast(self, broadcast_id: BroadcastId) -> None:
        """Remove a value that nothing refers to any more, from the loop; see `rdd.broadcast.BroadcastHome`."""
        if not self.closed and not self.env.loop.is_closed():
            self.env.loop.call_soon_threadsafe(self.remove, broadcast_id, "")

    def remove(self, broadcast_id: BroadcastId, why: str) -> None:
        """Remove a value here and there."""
        if self.closed or not (self.writer.give_up(broadcast_id) or broadcast_id in self.store.stored):
            return
        self.store.remove(broadcast_id)
        self.tell(broadcast_id)
        self.note_gone(broadcast_id, why)

    def note_gone(self, broadcast_id: BroadcastId, why: str) -> None:
        """Remember why a value is not here, and have executors drop what they have of it."""
        if why:
            self.gone[broadcast_id] = why
            if len(self.gone) > MAX_REMEMBERED:
                del self.gone[next(iter(self.gone))]
        if self.master is not None:
            self.master.remove(broadcast_id, why)

    # -- files -------------------------------------------------------------------------------------------------------

    async def add_file(self, path: str, kind: FileKind) -> int:
        """Hand out a file; return the version of the files from now on.

        Raises:
            ConfigurationError: there is no such file, it cannot be used like this, or its name is taken.
        """
        async with self.adding:
            blocking = self.world.run_blocking
            found = await blocking(examine, path, kind, self.root)
            before = self.sources.get(found.name)
            if before is not None and before.origin != found.origin:
                raise ConfigurationError(
                    f"a file named {found.name} was added from {before.origin} already: "
                    f"{found.origin} needs another name"
                )
            if before is not None and before.digest == found.digest:
                return self.files.version
            file = AddedFile(found.kind, found.name, found.digest, found.size_bytes, self.served(found), found.format)
            # Only what goes to other hosts is packed.
            source = found.origin if found.kind == "directory" else found.content
            await blocking(partial(self.root.place, file, source, is_packed=kind == "archive"))
            others = tuple(other for other in self.files.files if other.name != file.name)
            self.sources[file.name] = found
            self.files = FileSet(next(versions), (*others, file))
        spark_files.set_root(str(self.root.path))
        spark_files.add_import_paths(self.root.import_paths)
        return self.files.version

    def served(self, found: Examined) -> str:
        """Return where executors of other processes get a file; empty in local mode."""
        return self.env.files.add_content(found.digest, found.content) if self.env.address is not None else ""

    def list_files(self) -> list[str]:
        """Return where the files are that were added."""
        return [str(found.origin) for found in self.sources.values()]

    # -- for local mode's executor -----------------------------------------------------------------------------------

    def asked(self, request: RunnerRequest, answer: Callable[[RunnerReply | AnswerFailed], None]) -> None:
        """Answer a runner of this host when what it asks for is here; for `local_executor.LocalSupply`."""
        if isinstance(request, NeedBroadcast):
            self.writer.when_written(request.broadcast_id, lambda: answer(self.at_hand(request)))
        else:
            answer(self.at_hand(request))

    def at_hand(self, request: RunnerRequest) -> RunnerReply | AnswerFailed:
        """Return the answer to a runner of this host."""
        if isinstance(request, NeedBroadcast):
            path = self.store.complete(request.broadcast_id)
            return BroadcastFile(path) if path is not None else AnswerFailed(self.why_missing(request.broadcast_id))
        return FilesReady(self.files.version, str(self.root.path), tuple(self.root.import_paths))

    def why_missing(self, broadcast_id: BroadcastId) -> str:
        """Say why a broadcast is not here."""
        return self.gone.get(broadcast_id) or f"broadcast {broadcast_id} is gone: nothing in the driver refers to it"

    # -- end ---------------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Let nothing be left in this process; the files go with their directory."""
        self.closed = True
        await self.writer.close()
        if self.files.version:
            spark_files.set_root(None)
            spark_files.remove_import_paths(self.root.import_paths)
        if self.own_session is not None:
            await self.world.run_blocking(self.own_session.remove)
