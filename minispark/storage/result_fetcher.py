"""Results that attempts left with their executors because they are large: read from the file, or fetched.

The driver makes one; the TaskScheduler's result getter calls it. A result whose session directory can be opened here
is mapped; another host's is fetched over the bulk service "blocks" into memory, as much as was announced and no more,
and removed there. Source: the remote half of Spark's TaskResultGetter.
"""

import logging
import os
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING

from minispark.errors import PeerRefused, RpcError
from minispark.messages.task import BlockManagerId, DirectResult, IndirectResult
from minispark.rpc.env import RpcEnv
from minispark.storage.block_reader import batches_of, read_result

if TYPE_CHECKING:
    from minispark.storage.transfer import Transfer

__all__ = ["ResultFetcher"]

logger = logging.getLogger(__name__)


class ResultFetcher:
    """Fetches results for the driver.

    Args:
        env: the driver's.
        location_at: the executor whose session directory that is; None if there is none of a cluster's.
    """

    def __init__(self, env: RpcEnv, location_at: Callable[[str], BlockManagerId | None]) -> None:
        self.env = env
        self.location_at = location_at

    @cached_property
    def transfer(self) -> "Transfer":
        """Channels to executors; local mode needs none, and does not load what makes them."""
        made: Transfer = import_module("minispark.storage.transfer").Transfer(self.env)
        return made

    async def read(self, result: IndirectResult) -> DirectResult | None:
        """Return a result and remove it where it was left; None if it is lost."""
        if not result.path:
            return None
        if await self.env.world.run_blocking(is_here, result.path):
            return await self.env.world.run_blocking(read_result, result)
        location = self.location_of(result)
        content = None if location is None else await self.fetch(result, location)
        if location is None or content is None:
            return None
        await self.remove(result, location)
        return batches_of(result, memoryview(content).toreadonly())

    async def drop(self, result: IndirectResult) -> None:
        """Remove a result that nobody wants."""
        if not result.path:
            return
        if await self.env.world.run_blocking(is_here, result.path):
            await self.env.world.run_blocking(read_result, result)
        elif (location := self.location_of(result)) is not None:
            await self.remove(result, location)

    def location_of(self, result: IndirectResult) -> BlockManagerId | None:
        """Return who has a result; None if that executor is gone."""
        return self.location_at(os.path.dirname(os.path.dirname(result.path)))

    async def fetch(self, result: IndirectResult, location: BlockManagerId) -> bytearray | None:
        """Fetch a result, trying again as shuffle data is; None if it is lost."""
        conf, world = self.env.conf, self.env.world
        wait_s, deadline = conf.shuffle_fetch_retry_wait, world.monotonic() + conf.shuffle_fetch_retry_time
        while True:
            try:
                content = await self.transfer.fetch_block(location, result.block_id, max_bytes=result.size_bytes)
            except RpcError as error:
                logger.warning("the result %s cannot be fetched: %s", result.block_id, error)
                if isinstance(error, PeerRefused) or world.monotonic() + wait_s > deadline:
                    return None
                await world.sleep(wait_s)
                wait_s *= 2
            else:
                return content

    async def remove(self, result: IndirectResult, location: BlockManagerId) -> None:
        """Remove a result at its executor; what is left when that fails goes with the executor."""
        try:
            await self.transfer.remove_block(location, result.block_id)
        except RpcError as error:
            logger.info("the result %s stays with executor %s: %s", result.block_id, location.executor_id, error)


def is_here(path: str) -> bool:
    """Tell whether a result lies in a session directory that can be opened here."""
    blocks = os.path.dirname(path)
    return os.path.basename(blocks) == "blocks" and os.access(os.path.join(os.path.dirname(blocks), "token"), os.R_OK)
