"""The write queue of a master: records go to disk off the loop, in order, and what depends on them waits for them.

Used by the Master endpoint. All that comes while a write is under way goes with the next one, so that a slow disk
costs one write for many messages; what is said meanwhile waits, but heartbeats are counted. Must not know what is
written.
"""

from collections.abc import Awaitable, Callable, Sequence

from minispark.deploy.logic.effects import Forget, Persist

__all__ = ["Change", "WriteQueue"]

Change = Persist | Forget


class WriteQueue:
    """Changes of records, each with what is to be done once it is on disk.

    Args:
        write: puts changes on disk, in order.
        start: runs `drain` in a task of its own.
    """

    def __init__(
        self, write: Callable[[Sequence[Change]], Awaitable[None]], start: Callable[["WriteQueue"], object]
    ) -> None:
        self.write = write
        self.start = start
        self.waiting: list[tuple[Sequence[Change], Callable[[], object]]] = []
        self.draining = False

    def add(self, changes: Sequence[Change], then: Callable[[], object]) -> None:
        """Do something once these changes, and all before them, are on disk; at once if nothing is to be written."""
        if not changes and not self.draining:
            then()
            return
        self.waiting.append((changes, then))
        if not self.draining:
            self.draining = True
            self.start(self)

    async def drain(self) -> None:
        """Write until nothing waits; an error of the disk ends it, and what depends on the write is never done."""
        while self.waiting:
            batch, self.waiting = self.waiting, []
            changes = [change for some, _ in batch for change in some]
            if changes:
                await self.write(changes)
            for _, then in batch:
                then()
        self.draining = False
