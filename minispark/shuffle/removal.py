"""Removing map outputs that nobody needs: those of shuffles that were forgotten, and surplus ones. The driver's side.

A session directory that can be opened here is cleaned here; another host's by whoever serves it, over the bulk
service "blocks": its executor, or the shuffle service of its host, which is there when the executor is gone. What
cannot be reached is removed with the application. Source: the shuffle half of Spark's ContextCleaner, RemoveShuffle.
"""

import logging
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from minispark.errors import RpcError
from minispark.ids import ShuffleId, TaskId
from minispark.messages.task import BlockManagerId
from minispark.messages.transfer import RemoveMapOutputs
from minispark.rpc.world import World
from minispark.shuffle.files import remove_attempt_files, remove_shuffle_files

if TYPE_CHECKING:
    from minispark.storage.transfer import Transfer

__all__ = ["MapOutputRemover"]

ANY = -1

logger = logging.getLogger(__name__)


class MapOutputRemover:
    """Removes map outputs wherever they are.

    Args:
        world: removes files off the loop.
        transfer: returns the channels to executors and shuffle services; called only where there are any.
    """

    def __init__(self, world: World, transfer: "Callable[[], Transfer]") -> None:
        self.world = world
        self.transfer = transfer

    async def remove_shuffle(self, shuffle_id: ShuffleId, locations: Iterable[BlockManagerId]) -> None:
        """Remove all files of a shuffle, those of superseded attempts too, where its outputs were."""
        for location in locations:
            await self.remove(location, RemoveMapOutputs(location.executor_id, shuffle_id, TaskId(ANY)))

    async def remove_output(self, map_id: TaskId, location: BlockManagerId) -> None:
        """Remove what one attempt has written."""
        await self.remove(location, RemoveMapOutputs(location.executor_id, ShuffleId(ANY), map_id))

    async def remove(self, location: BlockManagerId, request: RemoveMapOutputs) -> None:
        """Remove map outputs, or have them removed by whoever serves them."""
        blocking = self.world.run_blocking
        if not location.port or await blocking(is_here, location.directory):  # local mode serves nobody
            await blocking(remove_asked, location.directory, request)
            return
        try:
            await self.transfer().remove_outputs(location, request)
        except RpcError as error:
            logger.info("map outputs stay with executor %s: %s", location.executor_id, error)


def is_here(directory: str) -> bool:
    """Tell whether a session directory can be opened in this process. Blocking."""
    return os.access(os.path.join(directory, "token"), os.R_OK)


def remove_asked(directory: str, request: RemoveMapOutputs) -> None:
    """Do what another process asks for. Blocking."""
    if request.map_id == ANY:
        remove_shuffle_files((directory,), request.shuffle_id)
    else:
        remove_attempt_files(directory, request.map_id)
