"""Map output locations: executor ↔ driver (endpoint `MapOutputTracker`). Tags 120–139."""

from minispark.ids import BroadcastId, ShuffleId
from minispark.messages.transfer import GetMigrationPeers, MoveMapOutput
from minispark.rpc.message import Ask, Attachment, Message, message

__all__ = ["GetMapOutputStatuses", "MapOutputStatuses", "ToMapOutputTracker"]


@message(120)
class MapOutputStatuses(Message):
    """Driver → executor: the statuses of all map outputs of a shuffle, packed by `shuffle.logic.map_outputs`.

    Of large ones, which broadcast they are (`data` is empty then).

    Maps whose output is missing are marked as such; a reader of one fails with a metadata FetchFailed.
    """

    shuffle_id: ShuffleId
    epoch: int
    data: Attachment
    broadcast_id: BroadcastId | None = None


@message(121)
class GetMapOutputStatuses(Ask[MapOutputStatuses]):
    """Executor → driver: where are that shuffle's map outputs? An unknown shuffle gives no maps at all."""

    shuffle_id: ShuffleId


ToMapOutputTracker = GetMapOutputStatuses | MoveMapOutput | GetMigrationPeers
