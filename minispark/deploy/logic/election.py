"""Who leads: when a standby master may claim the next term, and how long a leader may rule without renewing.

Decisions of `deploy.election`. Each leader counts up a number, its beat, in a place that all masters see. No two
clocks are compared: a candidate measures by its own how long the beat stayed the same, a leader by its own how long
ago it began to write the last one. As a candidate cannot have seen a beat before it was written, the leader's time is
over before the candidate's is.
"""

from minispark.record import Record, record

__all__ = ["RENEWALS_PER_LEASE", "Candidacy", "Claim", "Lease"]

RENEWALS_PER_LEASE = 4
"""How often a leader renews, and a candidate looks, within `minispark.deploy.leaderLease`."""

PATIENCE = 1.25
"""For how many leases a candidate waits: clocks of different machines may not run equally fast."""


@record
class Claim(Record):
    """The highest term that was claimed; `beat` changes while its leader lives, `is_over`: it surely does not."""

    term: int
    beat: int
    holder: str = ""
    is_over: bool = False


class Candidacy:
    """A standby master that watches the leader."""

    def __init__(self, lease_s: float) -> None:
        self.patience_s = lease_s * PATIENCE
        self.seen: Claim | None = None
        self.since_s = 0.0

    def observe(self, claim: Claim | None, began_s: float, done_s: float) -> int | None:
        """Return the term to claim, or None: somebody leads.

        Args:
            claim: the highest there is.
            began_s: when reading it began, monotonic: it was like this then or later.
            done_s: when that was done: what is new was written before. Between the two this process may have been
                stopped, or the disk slow.
        """
        if claim is None:
            return 1
        if claim.is_over:
            return claim.term + 1
        if self.seen is None or (self.seen.term, self.seen.beat) != (claim.term, claim.beat):
            self.seen, self.since_s = claim, done_s
            return None
        return claim.term + 1 if began_s - self.since_s > self.patience_s else None


class Lease:
    """A leader's right to rule; once it is over, it is over for good.

    Args:
        lease_s: how long it lasts after a renewal.
        began_s: when the claim began to be written, monotonic.
        began_wall_s: the same since the epoch: a machine that was suspended may not have counted the time.
    """

    def __init__(self, lease_s: float, began_s: float, began_wall_s: float) -> None:
        self.lease_s = lease_s
        self.began_s, self.began_wall_s = began_s, began_wall_s
        self.is_over = False

    def holds(self, now_s: float, wall_s: float) -> bool:
        """Tell whether this leader may speak now."""
        if max(now_s - self.began_s, wall_s - self.began_wall_s) > self.lease_s:
            self.is_over = True
        return not self.is_over

    def renewed(self, began_s: float, began_wall_s: float, now_s: float, wall_s: float) -> bool:
        """Take note of a renewal that began then and is done now; one that is done too late does not count."""
        if not self.holds(now_s, wall_s):
            return False
        self.began_s, self.began_wall_s = began_s, began_wall_s
        return True
