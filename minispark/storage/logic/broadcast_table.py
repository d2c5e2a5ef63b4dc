"""BroadcastTable: who has which pieces of which broadcast, and who of a host fetches for the others.

The driver's table; `broadcast_master.BroadcastMaster` is its only writer. An executor that has some pieces is a
source of these for others. Of the executors of a host that can read each other's files, one fetches, and the others
wait for its file.
"""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from minispark.ids import BroadcastId
from minispark.messages.distribution import BroadcastHolder, LocateBroadcast
from minispark.messages.task import BlockManagerId

__all__ = ["BroadcastTable"]

W = TypeVar("W")


@dataclass(slots=True)
class HostFetch(Generic[W]):
    """The executor of a host that fetches, and the asks of those that wait for it, with where they are."""

    fetcher: BlockManagerId
    waiting: list[tuple[BlockManagerId, W]] = field(default_factory=list)


@dataclass(slots=True)
class Entry(Generic[W]):
    """One broadcast: the executors that have pieces, and who fetches on which host."""

    holders: dict[BlockManagerId, bytes] = field(default_factory=dict)
    fetches: dict[str, HostFetch[W]] = field(default_factory=dict)


class BroadcastTable(Generic[W]):
    """Broadcast → holders. `W` is what stands for an ask that waits."""

    def __init__(self) -> None:
        self.entries: dict[BroadcastId, Entry[W]] = {}

    def locate(self, message: LocateBroadcast, ask: W) -> list[W]:
        """Take what an executor has and asks for; return the asks that can be answered now, in this order."""
        entry = self.entries.setdefault(message.broadcast_id, Entry())
        here = message.location
        is_whole = bool(message.pieces) and all(message.pieces)
        if any(message.pieces):
            entry.holders[here] = b"" if is_whole else bytes(message.pieces)
        if not message.shares:
            return [ask]
        fetch = entry.fetches.get(here.host)
        if is_whole:
            return [ask, *self.host_has_it(entry, here)]
        if fetch is None:
            if not self.whole_on(entry, here.host):
                entry.fetches[here.host] = HostFetch(here)
            return [ask]
        if fetch.fetcher == here:
            return [ask]
        fetch.waiting.append((here, ask))
        return []

    def host_has_it(self, entry: Entry[W], here: BlockManagerId) -> list[W]:
        """End the waiting of a host's executors: one of them has the file."""
        fetch = entry.fetches.get(here.host)
        if fetch is None or fetch.fetcher != here:
            return []
        del entry.fetches[here.host]
        return [ask for _, ask in fetch.waiting]

    def whole_on(self, entry: Entry[W], host: str) -> bool:
        """Tell whether an executor of a host has all pieces."""
        return any(location.host == host and not pieces for location, pieces in entry.holders.items())

    def given_up(self, broadcast_id: BroadcastId, location: BlockManagerId) -> list[W]:
        """Take note that an executor fetches no more; return the ask of the one that fetches in its place."""
        entry = self.entries.get(broadcast_id)
        fetch = None if entry is None else entry.fetches.get(location.host)
        if entry is None or fetch is None or fetch.fetcher != location:
            return []
        if not fetch.waiting:
            del entry.fetches[location.host]
            return []
        fetch.fetcher, ask = fetch.waiting.pop(0)
        return [ask]

    def lost(self, host: str, port: int) -> dict[BroadcastId, list[W]]:
        """Forget an executor that is gone; return the asks of those that fetch in its place, by broadcast."""
        asks: dict[BroadcastId, list[W]] = {}
        for broadcast_id, entry in self.entries.items():
            entry.holders = {at: pieces for at, pieces in entry.holders.items() if (at.host, at.port) != (host, port)}
            for fetch in list(entry.fetches.values()):
                fetch.waiting = [(at, ask) for at, ask in fetch.waiting if (at.host, at.port) != (host, port)]
                if (fetch.fetcher.host, fetch.fetcher.port) == (host, port):
                    asks.setdefault(broadcast_id, []).extend(self.given_up(broadcast_id, fetch.fetcher))
        return asks

    def holders(self, broadcast_id: BroadcastId) -> tuple[BroadcastHolder, ...]:
        """Return the executors that have pieces."""
        entry = self.entries.get(broadcast_id)
        return () if entry is None else tuple(BroadcastHolder(*held) for held in entry.holders.items())

    def remove(self, broadcast_id: BroadcastId) -> list[W]:
        """Forget all of a broadcast; return the asks that waited."""
        entry = self.entries.pop(broadcast_id, None)
        return [] if entry is None else [ask for fetch in entry.fetches.values() for _, ask in fetch.waiting]

    def check(self) -> None:
        """Assert the invariants."""
        for entry in self.entries.values():
            for host, fetch in entry.fetches.items():
                waiting = [location for location, _ in fetch.waiting]
                assert all(location.host == host for location in [fetch.fetcher, *waiting])
                assert fetch.fetcher not in waiting, "an executor waits for itself"
            assert all(pieces == b"" or not all(pieces) for pieces in entry.holders.values())

    def assert_empty(self) -> None:
        """Assert that nothing of any broadcast is left."""
        assert not self.entries, f"broadcasts are left: {list(self.entries)}"
