"""MapOutputTracker: tells executors where map outputs are. An endpoint of the driver.

It only reads the table; the DAGScheduler, on the same loop, writes it. Executors ask once per shuffle and epoch, and
pass the answer on to their runners.
"""

from collections.abc import Callable
from typing import assert_never

from minispark.ids import ExecutorId, ShuffleId
from minispark.messages.scheduler import MapOutputMigrated
from minispark.messages.shuffle import GetMapOutputStatuses, MapOutputStatuses, ToMapOutputTracker
from minispark.messages.task import BlockManagerId
from minispark.messages.transfer import GetMigrationPeers, MapOutputMoved, MigrationPeers, MoveMapOutput
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.ref import RpcEndpointRef
from minispark.shuffle.logic.map_outputs import MapOutputs

__all__ = ["MapOutputTracker"]


class MapOutputTracker(RpcEndpoint):
    """Serves the packed statuses of a shuffle with the epoch of now.

    Args:
        outputs: the driver's table.
        dag_scheduler: writes it; told of outputs that were handed over.
        peers: the executors that could take the outputs of one that goes.

    Attributes:
        heard_move: told of outputs that were handed over, for dynamic allocation.
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
        self.heard_move: Callable[[ExecutorId, ShuffleId], object] = lambda executor_id, shuffle_id: None

    def receive(self, message: ToMapOutputTracker, context: CallContext) -> None:
        """Answer one question."""
        match message:
            case GetMapOutputStatuses(shuffle_id):
                outputs = self.outputs
                context.reply(MapOutputStatuses(shuffle_id, outputs.epoch, outputs.packed(shuffle_id)))
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
