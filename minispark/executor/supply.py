"""Supply: an executor process's endpoint that gets broadcasts and files, once for all runners.

Its executor passes it what runners ask (`NeedBroadcast`, `NeedFiles`), and the driver tells it what to drop. Local
mode has none: there the driver's own files are mapped. Must not know what is in the files.
"""

from collections.abc import Callable
from functools import partial
from typing import assert_never

from minispark.conf import SparkConf
from minispark.ids import BroadcastId, TaskId
from minispark.messages.distribution import AddedFile, FileSet, GetFiles, RemoveBroadcast
from minispark.messages.endpoints import BROADCAST_MASTER, FILE_MASTER
from minispark.messages.runner import (
    AnswerFailed,
    BroadcastFile,
    FilesReady,
    NeedBroadcast,
    NeedFiles,
    RunnerReply,
    RunnerRequest,
)
from minispark.messages.task import BlockManagerId
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.env import RpcEnv
from minispark.rpc.failures import in_words
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.message import Message
from minispark.storage.broadcast_fetcher import BroadcastFetcher
from minispark.storage.broadcast_store import SERVICE, BroadcastStore
from minispark.storage.file_root import FileRoot

__all__ = ["SUPPLY", "Supply", "ToSupply"]

SUPPLY = "Supply"

ToSupply = RemoveBroadcast
Answer = Callable[[RunnerReply | AnswerFailed], None]


class Supply(RpcEndpoint):
    """Fetches broadcasts and files for one executor process.

    Args:
        env: the executor's; its peers get pieces of broadcasts from it, so it listens.
        driver: where the driver is.
        location: where this executor is; the files go to its `directory`.
        conf: the application's settings.
        forget: has the runners let go of broadcasts (`RunnerPool.forget_broadcasts`).
    """

    def __init__(
        self,
        env: RpcEnv,
        driver: RpcAddress,
        location: BlockManagerId,
        conf: SparkConf,
        forget: Callable[[tuple[BroadcastId, ...]], None],
    ) -> None:
        self.env = env
        self.forget = forget
        self.store = BroadcastStore(location.directory, env.world)
        self.fetcher = BroadcastFetcher(env, self.store, location, env.bind(BROADCAST_MASTER, driver), conf)
        self.file_master = env.bind(FILE_MASTER, driver)
        self.root = FileRoot(location.directory)
        self.files = FileSet(0, ())
        self.waiting: dict[NeedBroadcast | NeedFiles, list[Answer]] = {}
        self.removed_early: list[BroadcastId] = []
        env.bulk.serve(SERVICE, self.store.serve)

    def answers_to(self) -> tuple[type[Message], ...]:
        """Return what runners ask; see `RunnerHelper`."""
        return NeedBroadcast, NeedFiles

    def attempt_ended(self, task_id: TaskId, succeeded: bool) -> None:
        """Do nothing: what one attempt needed others will need; see `RunnerHelper`."""

    def asked(self, task_id: TaskId, request: RunnerRequest, answer: Answer) -> None:
        """Answer when something is here, which is brought once for all who ask meanwhile; see `RunnerHelper`."""
        assert isinstance(request, NeedBroadcast | NeedFiles)
        here = self.at_hand(request)
        if here is not None:
            answer(here)
        elif request in self.waiting:
            self.waiting[request].append(answer)
        else:
            self.waiting[request] = [answer]
            self.env.scope.spawn(self.bring(request), name=f"fetch what {request!r} asks for", owner=self)

    def at_hand(self, request: NeedBroadcast | NeedFiles) -> RunnerReply | None:
        """Return what a runner asks for if it is here."""
        if isinstance(request, NeedBroadcast):
            path = self.store.complete(request.broadcast_id)
            return None if path is None else BroadcastFile(path)
        return self.files_ready() if request.version <= self.files.version else None

    def receive(self, message: ToSupply, context: CallContext) -> None:
        """Handle one message."""
        match message:
            case RemoveBroadcast(broadcast_id):
                self.forget((broadcast_id,))
                if NeedBroadcast(broadcast_id) in self.waiting:
                    self.removed_early.append(broadcast_id)  # it goes when it has come: pieces are being written
                else:
                    self.store.remove(broadcast_id)
            case _:
                assert_never(message)

    async def bring(self, request: NeedBroadcast | NeedFiles) -> None:
        """Fetch something and answer all who wait for it."""
        reply: RunnerReply | AnswerFailed
        try:
            if isinstance(request, NeedBroadcast):
                reply = await self.bring_broadcast(request.broadcast_id)
            else:
                reply = await self.bring_files(request.version)
        except Exception as error:  # noqa: BLE001 — whatever is wrong, those who wait must hear of it
            reply = AnswerFailed(in_words(error))
        for answer in self.waiting.pop(request):
            answer(reply)
        if isinstance(request, NeedBroadcast) and request.broadcast_id in self.removed_early:
            self.removed_early.remove(request.broadcast_id)
            self.store.remove(request.broadcast_id)

    async def bring_broadcast(self, broadcast_id: BroadcastId) -> RunnerReply:
        """Fetch a broadcast."""
        return BroadcastFile(await self.fetcher.fetch(broadcast_id, self.self_ref))

    async def bring_files(self, version: int) -> RunnerReply:
        """Fetch the files that are new, and put them in their place."""
        fresh = await self.file_master.ask(GetFiles(version))
        blocking = self.env.world.run_blocking
        await blocking(self.root.make)
        for file in fresh.files:
            if file not in self.files.files:
                await self.bring_file(file)
        if fresh.version > self.files.version:
            self.files = fresh
        return self.files_ready()

    async def bring_file(self, file: AddedFile) -> None:
        """Fetch one file, unless its content is here already under another name."""
        blocking = self.env.world.run_blocking
        content = self.root.content_of(file)
        if not content.exists():
            arriving = content.with_name(f"{content.name}.{file.name}")
            await self.env.files.fetch(file.uri, arriving)
            await blocking(self.root.check_content, file, arriving)
            await blocking(arriving.replace, content)
        await blocking(partial(self.root.place, file, content, is_packed=file.kind in ("archive", "directory")))

    def files_ready(self) -> FilesReady:
        """Return where runners find the files."""
        return FilesReady(self.files.version, str(self.root.path), tuple(self.root.import_paths))
