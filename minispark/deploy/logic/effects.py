"""What the master's machine wants done; the Master endpoint does it, in order.

Persist and Forget come before what tells anybody of them: nothing that the master says depends on a record that is
not on disk.
"""

from minispark.messages.deploy_records import ClusterEntry
from minispark.record import Record, record
from minispark.rpc.message import Message
from minispark.rpc.ref import RpcEndpointRef

__all__ = ["CompleteLater", "Effect", "Forget", "Inform", "Persist", "Reply", "ScheduleLater", "Send", "Warn"]


@record
class Send(Record):
    """Send a message one way."""

    to: RpcEndpointRef
    message: Message


@record
class Reply(Record):
    """Answer the ask that is being handled."""

    message: Message


@record
class Persist(Record):
    """Keep a record; `is_new`: there must be none of its key, else it takes the place of the one there is."""

    entry: ClusterEntry
    is_new: bool = True


@record
class Forget(Record):
    """Remove the record of that key; there need not be one."""

    key: str


@record
class CompleteLater(Record):
    """Send `CompleteRecovery` to the master after a delay."""

    delay_s: float


@record
class ScheduleLater(Record):
    """Send `ScheduleAgain` to the master after a delay."""

    delay_s: float


@record
class Inform(Record):
    """Log what an operator may want to know."""

    text: str


@record
class Warn(Record):
    """Log what an operator should look at."""

    text: str


Effect = Send | Reply | Persist | Forget | CompleteLater | ScheduleLater | Inform | Warn
