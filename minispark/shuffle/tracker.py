"""MapOutputTracker: tells executors where map outputs are. An endpoint of the driver.

It only reads the table; the DAGScheduler, on the same loop, writes it. Executors ask once per shuffle and epoch, and
pass the answer on to their runners.
"""

from typing import assert_never

from minispark.messages.shuffle import GetMapOutputStatuses, MapOutputStatuses, ToMapOutputTracker
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.shuffle.logic.map_outputs import MapOutputs

__all__ = ["MapOutputTracker"]


class MapOutputTracker(RpcEndpoint):
    """Serves the packed statuses of a shuffle with the epoch of now.

    Args:
        outputs: the driver's table.
    """

    def __init__(self, outputs: MapOutputs) -> None:
        self.outputs = outputs

    def receive(self, message: ToMapOutputTracker, context: CallContext) -> None:
        """Answer one question."""
        match message:
            case GetMapOutputStatuses(shuffle_id):
                outputs = self.outputs
                context.reply(MapOutputStatuses(shuffle_id, outputs.epoch, outputs.packed(shuffle_id)))
            case _:
                assert_never(message)
