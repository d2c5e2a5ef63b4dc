"""Election: one master of several leads; one that cannot renew says so before it says anything else."""

import asyncio

from minispark.conf import SparkConf
from minispark.deploy.election import Election
from minispark.messages.deploy_records import ElectedLeader, RevokedLeadership
from minispark.rpc.endpoint import RpcEndpoint
from minispark.rpc.env import RpcEnv
from minispark.testing.recovery_store import MemoryStore
from minispark.testing.virtual_loop import VirtualWorld, run_virtual

LEASE_S = 10.0


class Candidate:
    """A master's election, with what it was told."""

    def __init__(self, store: MemoryStore, seed: int = 1) -> None:
        self.env = RpcEnv("master", VirtualWorld(seed), SparkConf())
        self.told: list[ElectedLeader | RevokedLeadership] = []
        self.election = Election(self.env, RpcEndpoint(), store, LEASE_S, self.tell)
        self.elected = asyncio.Event()
        self.env.scope.spawn(self.election.run(), name="election")

    def tell(self, message: ElectedLeader | RevokedLeadership) -> None:
        self.told.append(message)
        self.elected.set()

    @property
    def heard(self) -> list[str]:
        return [type(message).__name__ for message in self.told]


def test_the_second_stands_by_until_the_first_crashes() -> None:
    async def main() -> tuple[list[str], list[str], int, float]:
        store = MemoryStore()
        first = Candidate(store)
        await asyncio.sleep(1)
        second = Candidate(store, 2)
        await asyncio.sleep(100)
        before = second.heard
        await first.env.close()
        crashed_s = asyncio.get_running_loop().time()
        await second.elected.wait()
        took_s = asyncio.get_running_loop().time() - crashed_s
        await second.env.close()
        return before, second.heard, second.election.term, took_s

    before, after, term, took_s = run_virtual(main())

    assert (before, after, term) == ([], ["ElectedLeader"], 2)
    assert took_s <= 1.25 * LEASE_S + 2 * LEASE_S / 4


def test_one_that_resigns_is_followed_at_the_next_look() -> None:
    async def main() -> tuple[list[str], int]:
        store = MemoryStore()
        first, second = Candidate(store), Candidate(store, 2)
        await asyncio.sleep(1)
        await first.election.resign()
        await asyncio.sleep(LEASE_S / 4 + 0.1)
        assert not first.election.holds()
        for each in (first, second):
            await each.env.close()
        return second.heard, second.election.term

    assert run_virtual(main()) == (["ElectedLeader"], 2)


def test_a_leader_whose_disk_is_gone_leads_until_its_lease_is_over() -> None:
    async def main() -> tuple[bool, bool, list[str], str]:
        store = MemoryStore()
        leader = Candidate(store)
        await asyncio.sleep(30)
        store.failure = OSError("stale file handle")
        await asyncio.sleep(LEASE_S / 2)
        early = leader.election.holds()
        await asyncio.sleep(LEASE_S)
        late = leader.election.holds()
        await leader.env.close()
        (_, revoked) = leader.told
        assert isinstance(revoked, RevokedLeadership)
        return early, late, leader.heard, revoked.text

    early, late, heard, text = run_virtual(main())

    assert (early, late) == (True, False)
    assert heard == ["ElectedLeader", "RevokedLeadership"]
    assert "stale file handle" in text


def test_a_disk_that_comes_back_in_time_is_no_loss() -> None:
    async def main() -> list[str]:
        store = MemoryStore()
        store.failure = OSError("not mounted yet")
        leader = Candidate(store)
        await asyncio.sleep(30)
        store.failure = None
        await asyncio.sleep(30)
        store.failure = OSError("stale file handle")
        await asyncio.sleep(LEASE_S / 2)
        store.failure = None
        await asyncio.sleep(100)
        await leader.env.close()
        return leader.heard

    assert run_virtual(main()) == ["ElectedLeader"]


def test_a_superseded_leader_ends_at_its_next_renewal() -> None:
    async def main() -> str:
        store = MemoryStore()
        leader = Candidate(store)
        await asyncio.sleep(1)
        store.claim(2, "another")
        await asyncio.sleep(LEASE_S / 4 + 0.1)
        await leader.env.close()
        (_, revoked) = leader.told
        assert isinstance(revoked, RevokedLeadership)
        return revoked.text

    assert "another master leads in term 2" in run_virtual(main())


def test_records_that_cannot_be_read_are_an_end_with_a_reason() -> None:
    async def main() -> list[ElectedLeader | RevokedLeadership]:
        store = MemoryStore()
        store.records["worker_w1"] = b"not a record"
        leader = Candidate(store)
        await asyncio.sleep(1)
        await leader.env.close()
        return leader.told

    (told,) = run_virtual(main())

    assert isinstance(told, RevokedLeadership)
    assert "worker_w1 is damaged" in told.text
