"""BroadcastMaster: the driver's endpoint that tells executors who has which piece of a broadcast.

Made by `distribution` where executors are in other processes; local mode needs none. It also keeps whom to tell when
a broadcast goes. Source: what Spark's BlockManagerMaster does for TorrentBroadcast.
"""

import contextlib
from collections.abc import Callable
from functools import partial
from typing import assert_never

from minispark.errors import MiniSparkError
from minispark.ids import BroadcastId
from minispark.messages.distribution import (
    BroadcastFacts,
    BroadcastHolder,
    FetchGivenUp,
    LocateBroadcast,
    RemoveBroadcast,
    ToBroadcastMaster,
)
from minispark.messages.task import BlockManagerId
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.scope import TaskScope
from minispark.rpc.world import World
from minispark.storage.broadcast_file import checksums_of
from minispark.storage.broadcast_store import BroadcastStore
from minispark.storage.logic.broadcast_table import BroadcastTable

__all__ = ["BroadcastMaster"]


class BroadcastMaster(RpcEndpoint):
    """Answers `LocateBroadcast`.

    Args:
        store: the driver's files.
        location: where the driver serves them.
        world: files are read off the loop.
        scope: owns what reads them.
        when_written: calls back when a broadcast is not being written any more.

    Attributes:
        gone: what is said of broadcasts that were destroyed.
        early: who asked for a broadcast that is still being written, and what.
    """

    def __init__(
        self,
        store: BroadcastStore,
        location: BlockManagerId,
        world: World,
        scope: TaskScope,
        when_written: Callable[[BroadcastId, Callable[[], object]], object] = lambda _, then: then(),
    ) -> None:
        self.store = store
        self.location = location
        self.world = world
        self.scope = scope
        self.when_written = when_written
        self.table: BroadcastTable[CallContext] = BroadcastTable()
        self.checksums: dict[BroadcastId, bytes] = {}
        self.supplies: dict[BroadcastId, dict[BlockManagerId, RpcEndpointRef]] = {}
        self.gone: dict[BroadcastId, str] = {}
        self.early: dict[tuple[BroadcastId, BlockManagerId], tuple[LocateBroadcast, CallContext]] = {}

    def receive(self, message: ToBroadcastMaster, context: CallContext) -> None:
        """Handle one message."""
        match message:
            case LocateBroadcast(broadcast_id, location):
                self.early[broadcast_id, location] = message, context
                self.when_written(broadcast_id, partial(self.written, broadcast_id, location))
            case FetchGivenUp(broadcast_id, location):
                self.answer(broadcast_id, self.table.given_up(broadcast_id, location))
            case _:
                assert_never(message)

    def written(self, broadcast_id: BroadcastId, location: BlockManagerId) -> None:
        """Let an executor have what it asked for, unless it was lost meanwhile: others would wait for it."""
        asked = self.early.pop((broadcast_id, location), None)
        if asked is not None:
            self.locate(*asked)

    def locate(self, message: LocateBroadcast, context: CallContext) -> None:
        """Take what an executor has, and answer when it is its turn."""
        broadcast_id = message.broadcast_id
        if self.store.complete(broadcast_id) is None:
            context.send_failure(MiniSparkError(self.why_missing(broadcast_id)))
            message.supply.send(RemoveBroadcast(broadcast_id))
            return
        self.supplies.setdefault(broadcast_id, {})[message.location] = message.supply
        asks = self.table.locate(message, context)
        if broadcast_id in self.checksums:
            self.answer(broadcast_id, asks)
        else:
            self.scope.spawn(self.answer_first(broadcast_id, asks), name="checksums of a broadcast", owner=self)

    async def answer_first(self, broadcast_id: BroadcastId, asks: list[CallContext]) -> None:
        """Answer when the checksums are known, which nobody needed before."""
        stored = self.store.stored.get(broadcast_id)
        if stored is not None and broadcast_id not in self.checksums:
            with contextlib.suppress(FileNotFoundError):  # it may be destroyed meanwhile
                checksums = await self.world.run_blocking(partial(checksums_of, stored.path, stored.piece_bytes))
                if broadcast_id in self.store.stored:
                    self.checksums[broadcast_id] = checksums
        self.answer(broadcast_id, asks)

    def answer(self, broadcast_id: BroadcastId, asks: list[CallContext]) -> None:
        """Tell askers who has what."""
        stored = self.store.stored.get(broadcast_id)
        checksums = self.checksums.get(broadcast_id)
        for ask in asks:
            if stored is None or checksums is None:
                ask.send_failure(MiniSparkError(self.why_missing(broadcast_id)))
                continue
            holders = (BroadcastHolder(self.location, b""), *self.table.holders(broadcast_id))
            ask.reply(BroadcastFacts(stored.size_bytes, stored.piece_bytes, checksums, holders))

    def why_missing(self, broadcast_id: BroadcastId) -> str:
        """Say why a broadcast is not here."""
        return self.gone.get(broadcast_id) or f"broadcast {broadcast_id} is gone: nothing in the driver refers to it"

    def unpersist(self, broadcast_id: BroadcastId) -> None:
        """Have all executors drop what they have of a broadcast."""
        self.answer(broadcast_id, self.table.remove(broadcast_id))
        for supply in self.supplies.pop(broadcast_id, {}).values():
            supply.send(RemoveBroadcast(broadcast_id))

    def remove(self, broadcast_id: BroadcastId, why: str) -> None:
        """Have all executors drop a broadcast that the driver has removed."""
        if why:
            self.gone[broadcast_id] = why
        self.checksums.pop(broadcast_id, None)
        self.unpersist(broadcast_id)

    def on_disconnected(self, address: RpcAddress) -> None:
        """Forget an executor that is gone, and let others of its host fetch in its place."""
        for broadcast_id, at in list(self.early):
            if (at.host, at.port) == (address.host, address.port):
                del self.early[broadcast_id, at]
        for broadcast_id, asks in self.table.lost(address.host, address.port).items():
            self.answer(broadcast_id, asks)
        for supplies in self.supplies.values():
            for location in [at for at in supplies if (at.host, at.port) == (address.host, address.port)]:
                del supplies[location]
