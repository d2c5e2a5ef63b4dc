"""What the executor asks the driver, for itself and for its runners: whom, what exactly, and how long.

Used by `Executor` alone. Must not send anything itself.
"""

from typing import Any, NamedTuple, Self

from minispark.conf import SparkConf
from minispark.errors import MiniSparkError
from minispark.executor.logic.preparation import Request
from minispark.messages.cluster import BinaryContent, FetchBinary
from minispark.messages.coordination import (
    AskPermissionToCommit,
    BarrierSynced,
    PermissionToCommit,
    RequestToSync,
)
from minispark.messages.endpoints import (
    BARRIER_SYNC,
    BINARY_SERVER,
    HEARTBEAT_RECEIVER,
    MAP_OUTPUT_TRACKER,
    OUTPUT_COMMIT_COORDINATOR,
)
from minispark.messages.runner import Binary, MapOutputs, NeedBinary, NeedMapOutputs, RunnerReply, RunnerRequest
from minispark.messages.shuffle import GetMapOutputStatuses, MapOutputStatuses
from minispark.record import Record, record
from minispark.rpc.env import RpcEnv
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.message import Ask, Message
from minispark.rpc.ref import RpcEndpointRef

__all__ = ["DriverRefs", "Question", "question_of", "reply_of"]


@record
class DriverRefs(Record):
    """The driver's endpoints that an executor asks.

    Attributes:
        binary_server: has the stages' binaries and the classes of the driver's `__main__`.
        map_output_tracker: has the map outputs.
        commits: decides which attempt puts its output in place.
        barriers: lets the tasks of a barrier stage wait for each other.
        heartbeats: hears that the executor lives.
    """

    binary_server: RpcEndpointRef
    map_output_tracker: RpcEndpointRef
    commits: RpcEndpointRef
    barriers: RpcEndpointRef
    heartbeats: RpcEndpointRef

    @classmethod
    def bind(cls, env: RpcEnv, address: RpcAddress | None) -> Self:
        """Return the endpoints of the driver at an address; None: of the driver in this very process."""
        return cls(
            env.bind(BINARY_SERVER, address),
            env.bind(MAP_OUTPUT_TRACKER, address),
            env.bind(OUTPUT_COMMIT_COORDINATOR, address),
            env.bind(BARRIER_SYNC, address),
            env.bind(HEARTBEAT_RECEIVER, address),
        )


class Question(NamedTuple):
    """A request with its receiver; `timeout_s` None is the timeout of all asks."""

    target: RpcEndpointRef
    request: Ask[Any]
    timeout_s: float | None = None


def question_of(request: Request | RunnerRequest, driver: DriverRefs, conf: SparkConf) -> Question:
    """Return what the driver is to be asked so that a request can be answered."""
    match request:
        case NeedBinary():
            return Question(driver.binary_server, FetchBinary(request.binary_id))
        case NeedMapOutputs():
            return Question(driver.map_output_tracker, GetMapOutputStatuses(request.shuffle_id))
        case GetMapOutputStatuses():
            return Question(driver.map_output_tracker, request)
        case AskPermissionToCommit():
            return Question(driver.commits, request)
        case RequestToSync():
            # The coordinator's own word comes first: it says who did not come.
            return Question(driver.barriers, request, conf.barrier_sync_timeout + conf.rpc_ask_timeout)
        case _:
            return Question(driver.binary_server, request)


def reply_of(answer: Message) -> RunnerReply:
    """Make the runners' answer of the driver's; bytes that a frame lent are copied.

    Raises:
        MiniSparkError: it is an answer to something else.
    """
    match answer:
        case BinaryContent() | Binary():
            return Binary(bytes(answer.data), answer.broadcast_id)
        case MapOutputStatuses():
            return MapOutputs(answer.epoch, bytes(answer.data), answer.broadcast_id)
        case BarrierSynced() | PermissionToCommit():
            return answer
        case _:
            raise MiniSparkError(f"the driver answered with a {type(answer).__name__}")
