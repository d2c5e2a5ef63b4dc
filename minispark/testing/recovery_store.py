"""MemoryStore: what masters share, in memory. It outlives the masters that a simulation crashes, as a disk would."""

from collections.abc import Sequence

from minispark.deploy.logic.effects import Forget, Persist
from minispark.deploy.logic.election import Claim
from minispark.deploy.record_file import parse_record, record_bytes
from minispark.errors import LeadershipLost, RecoveryStateError
from minispark.messages.deploy_records import ClusterEntry
from minispark.rpc.logic.shapes import BindRef

__all__ = ["MemoryStore"]


class MemoryStore:
    """A RecoveryStore; one object for all masters of a cluster.

    Attributes:
        claims: by term, as others see them.
        owner: the term whose leader has the records.
        records: by key, as bytes: what comes back went through the codec.
        failure: raised by every method while it is set, as by a disk that is gone.
    """

    def __init__(self) -> None:
        self.claims: dict[int, Claim] = {}
        self.owner = 0
        self.records: dict[str, bytes] = {}
        self.failure: OSError | None = None

    def latest(self) -> Claim | None:
        """Return the highest claim; None if there never was one."""
        self.fail_if_told()
        return self.claims[max(self.claims)] if self.claims else None

    def claim(self, term: int, holder: str) -> bool:
        """Claim a term; return False if another has it."""
        self.fail_if_told()
        if term in self.claims:
            return False
        self.claims[term] = Claim(term, 0, holder)
        return True

    def renew(self, term: int, beat: int) -> None:
        """Show that the leader of a term lives."""
        self.expect_highest(term)
        self.claims[term] = Claim(term, beat, self.claims[term].holder)

    def resign(self, term: int) -> None:
        """Say that the leader of a term does not lead any more."""
        self.fail_if_told()
        self.claims[term] = Claim(term, -1, self.claims[term].holder, is_over=True)

    def load(self, term: int, bind: BindRef) -> tuple[ClusterEntry, ...]:
        """Take the records over from the term before, and return them; that one can write no more."""
        self.expect_highest(term)
        self.owner = term
        return tuple(parse_record(key, content, bind) for key, content in sorted(self.records.items()))

    def write(self, term: int, changes: Sequence[Persist | Forget]) -> None:
        """Change records, in order."""
        self.fail_if_told()
        if term != self.owner:
            raise FileNotFoundError(f"the records of term {term} were taken over by term {self.owner}")
        for change in changes:
            match change:
                case Persist():
                    if change.is_new and change.entry.key in self.records:
                        raise RecoveryStateError(f"there is already a record {change.entry.key}")
                    self.records[change.entry.key] = record_bytes(change.entry)
                case Forget():
                    self.records.pop(change.key, None)

    def expect_highest(self, term: int) -> None:
        """Raise LeadershipLost if another term was claimed since."""
        self.fail_if_told()
        if max(self.claims) != term:
            raise LeadershipLost(f"another master leads in term {max(self.claims)}, this one did in term {term}")

    def fail_if_told(self) -> None:
        """Fail as a disk does that is gone."""
        if self.failure is not None:
            raise self.failure
