"""MapOutputTracker: tells executors where map outputs are. An endpoint of the driver.

It only reads the table; the DAGScheduler, on the same loop, writes it. Executors ask once per shuffle and epoch, and
pass the answer on to their runners. Large ones go as a broadcast, once to each host, and not through this loop again.
"""

import logging
from collections.abc import Callable
from typing import assert_never

from minispark.conf import SparkConf
from minispark.errors import ConfigurationError, MiniSparkError
from minispark.ids import BroadcastId, ExecutorId, ShuffleId
from minispark.messages.scheduler import MapOutputMigrated
from minispark.messages.shuffle import GetMapOutputStatuses, MapOutputStatuses, ToMapOutputTracker
from minispark.messages.task import BlockManagerId
from minispark.messages.transfer import GetMigrationPeers, MapOutputMoved, MigrationPeers, MoveMapOutput
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.ref import RpcEndpointRef
from minispark.shuffle.logic.map_outputs import MapOutputs
from minispark.storage.broadcast import LargeBinaries

__all__ = ["MapOutputTracker", "min_broadcast_bytes"]

logger = logging.getLogger(__name__)


class MapOutputTracker(RpcEndpoint):
    """Serves the packed statuses of a shuffle with the epoch of now.

    Args:
        outputs: the driver's table.
        dag_scheduler: writes it; told of outputs that were handed over.
        peers: the executors that could take the outputs of one that goes.

    Attributes:
        heard_move: told of outputs that were handed over, for dynamic allocation.
        large: hands out broadcasts, where executors are in other processes.
        min_broadcast_bytes: statuses from that size on are handed out so.
    """

    def __init__(
        self,
        outputs: MapOutputs,
        dag_scheduler: RpcEndpointRef | None = None,
        peers: Callable[[ExecutorId], tuple[BlockManagerId, ...]] = lambda executor_id: (),
    ) -> None:
        self.outputs = outputs
        self.dag_scheduler = dag_scheduler
        self.peers = peers
        self.large: Callable[[], LargeBinaries] | None = None
        self.min_broadcast_bytes = 0
        self.broadcasts: dict[ShuffleId, tuple[bytes, BroadcastId]] = {}
        self.heard_move: Callable[[ExecutorId, ShuffleId], object] = lambda executor_id, shuffle_id: None

    def receive(self, message: ToMapOutputTracker, context: CallContext) -> None:
        """Answer one question."""
        match message:
            case GetMapOutputStatuses(shuffle_id):
                context.reply(self.statuses(shuffle_id))
            case MoveMapOutput(shuffle_id, map_id, location):
                is_known = self.dag_scheduler is not None and shuffle_id in self.outputs
                if is_known and self.dag_scheduler is not None:
                    self.dag_scheduler.send(MapOutputMigrated(shuffle_id, map_id, location))
                    self.heard_move(location.executor_id, shuffle_id)
                context.reply(MapOutputMoved(is_known))
            case GetMigrationPeers(executor_id):
                context.reply(MigrationPeers(self.peers(executor_id)))
            case _:
                assert_never(message)

    def statuses(self, shuffle_id: ShuffleId) -> MapOutputStatuses:
        """Return a shuffle's statuses, or which broadcast they are."""
        packed, epoch = self.outputs.packed(shuffle_id), self.outputs.epoch
        if self.large is None or len(packed) < max(self.min_broadcast_bytes, 1):
            return MapOutputStatuses(shuffle_id, epoch, packed)
        before = self.broadcasts.get(shuffle_id)
        if before is not None and before[0] is packed:
            return MapOutputStatuses(shuffle_id, epoch, b"", before[1])
        try:
            broadcast_id = self.large().broadcast_binary(packed)
        except MiniSparkError as error:
            logger.warning("the map statuses of shuffle %d are sent to each executor: %s", shuffle_id, error)
            return MapOutputStatuses(shuffle_id, epoch, packed)
        self.forget(shuffle_id)
        self.broadcasts[shuffle_id] = packed, broadcast_id
        return MapOutputStatuses(shuffle_id, epoch, b"", broadcast_id)

    def forget(self, shuffle_id: ShuffleId) -> None:
        """Remove the broadcast of a shuffle's statuses, if there is one; who maps it already has it."""
        before = self.broadcasts.pop(shuffle_id, None)
        if before is not None and self.large is not None:
            self.large().drop_broadcast(before[1])


def min_broadcast_bytes(conf: SparkConf) -> int:
    """Return from which size on map statuses go as a broadcast.

    Raises:
        ConfigurationError: larger ones than fit into a message would go as a message.
    """
    limit, largest = conf.shuffle_map_output_min_size_for_broadcast, conf.rpc_message_max_size
    if limit >= largest:
        raise ConfigurationError(
            f"minispark.shuffle.mapOutput.minSizeForBroadcast is {limit} and must be below "
            f"minispark.rpc.message.maxSize, {largest}: map statuses in between could not be sent at all"
        )
    return limit
