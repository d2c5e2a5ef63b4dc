"""The election: stands by until this master may lead, then renews its term and takes over what the one before left.

Run by the Master endpoint, which is told the outcome by messages. Decisions are in `logic.election`. Must not send
anything to anybody else. Source: Spark's LeaderElectionAgent.
"""

import logging
from collections.abc import Callable

from minispark.deploy.logic.election import RENEWALS_PER_LEASE, Candidacy, Lease
from minispark.deploy.persistence import RecoveryStore
from minispark.errors import LeadershipLost, RecoveryStateError
from minispark.messages.deploy_records import ElectedLeader, RevokedLeadership
from minispark.rpc.endpoint import RpcEndpoint
from minispark.rpc.env import RpcEnv

__all__ = ["Election"]

logger = logging.getLogger(__name__)


class Election:
    """One master's way to leadership, and its end.

    Args:
        env: whose world has clock and disk, and whose scope runs what waits.
        owner: the endpoint whose work this is.
        store: what the masters share.
        lease_s: how long a leader rules without renewing.
        tell: takes `ElectedLeader` or `RevokedLeadership`.

    Attributes:
        term: this master's; 0 until it has one.
        lease: its right to rule; None until it has one.
    """

    def __init__(
        self,
        env: RpcEnv,
        owner: RpcEndpoint,
        store: RecoveryStore,
        lease_s: float,
        tell: Callable[[ElectedLeader | RevokedLeadership], object],
    ) -> None:
        self.env = env
        self.world = env.world
        self.owner = owner
        self.store = store
        self.lease_s = lease_s
        self.tell = tell
        self.term = 0
        self.lease: Lease | None = None

    def holds(self) -> bool:
        """Tell whether this master may speak now."""
        return self.lease is not None and self.lease.holds(self.world.monotonic(), self.world.wall())

    async def run(self) -> None:
        """Stand by, then lead until that is over."""
        candidacy = Candidacy(self.lease_s)
        while not await self.stand(candidacy):
            await self.world.sleep(self.lease_s / RENEWALS_PER_LEASE)
        self.env.scope.spawn(self.keep(), name="renew the term", owner=self.owner)
        try:
            entries = await self.world.run_blocking(self.store.load, self.term, self.env.bind)
        except (LeadershipLost, RecoveryStateError, OSError) as error:
            self.tell(RevokedLeadership(str(error)))
            return
        if self.holds():
            self.tell(ElectedLeader(self.term, entries))
        else:
            self.tell(RevokedLeadership(f"taking over the records took longer than {self.lease_s:g} s"))

    async def stand(self, candidacy: Candidacy) -> bool:
        """Look once who leads; claim the next term if nobody does. Return whether it was got."""
        try:
            looked_s = self.world.monotonic()
            latest = await self.world.run_blocking(self.store.latest)
            term = candidacy.observe(latest, looked_s, self.world.monotonic())
            if term is None:
                return False
            began_s, began_wall_s = self.world.monotonic(), self.world.wall()
            if not await self.world.run_blocking(self.store.claim, term, str(self.env.address)):
                return False
        except OSError as error:
            logger.warning("the recovery directory cannot be read, it is tried again: %s", error)
            return False
        self.term, self.lease = term, Lease(self.lease_s, began_s, began_wall_s)
        return True

    async def keep(self) -> None:
        """Renew the term until that fails for good."""
        beat = 0
        trouble: Exception | None = None
        while self.holds():
            await self.world.sleep(self.lease_s / RENEWALS_PER_LEASE)
            beat += 1
            try:
                await self.renew(beat)
                trouble = None
            except LeadershipLost as error:
                self.tell(RevokedLeadership(str(error)))
                return
            except OSError as error:
                trouble = error
                logger.warning("the term could not be renewed, it is tried again: %s", error)
        why = f": {trouble}" if trouble is not None else "; was the process stopped, or is the disk slow?"
        self.tell(RevokedLeadership(f"term {self.term} was not renewed for {self.lease_s:g} s{why}"))

    async def renew(self, beat: int) -> None:
        """Renew the term once."""
        assert self.lease is not None
        began_s, began_wall_s = self.world.monotonic(), self.world.wall()
        await self.world.run_blocking(self.store.renew, self.term, beat)
        self.lease.renewed(began_s, began_wall_s, self.world.monotonic(), self.world.wall())

    async def resign(self) -> None:
        """Let another master lead at once."""
        if self.lease is not None and self.holds():
            self.lease.is_over = True  # no renewal comes after it
            await self.world.run_blocking(self.store.resign, self.term)
