"""When a worker asks masters to take it, whose it is, and when it gives up: the decisions of `deploy.worker`.

Six attempts about ten seconds apart, ten more about a minute apart, then the worker ends. The exact times are drawn,
so that the workers of a cluster do not all come at once after their master was away. Every attempt goes to all
masters: the one that leads answers, and a second registration is no harm to it. Source: Spark's Worker.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from minispark.deploy.logic.terms import Terms
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.ref import RpcEndpointRef

if TYPE_CHECKING:
    import random

__all__ = ["FIRST_ATTEMPTS", "MAX_ATTEMPTS", "Attempt", "Registration"]

FIRST_ATTEMPTS = 6
MAX_ATTEMPTS = 16
FIRST_INTERVAL_S = 10.0
LATER_INTERVAL_S = 60.0


@dataclass(frozen=True)
class Attempt:
    """One attempt: whom to ask, and after how many seconds to look whether anybody answered."""

    masters: tuple[RpcAddress, ...]
    wait_s: float


class Registration:
    """A worker's standing with its masters.

    Args:
        masters: where they may be.
        rng: for the times.

    Attributes:
        terms: whose commands count.
        master: the leader, as far as is known; None before the first registration.
        registered: whether the leader has taken the worker, as far as is known.
        attempts: how often the masters were asked again since the worker was on its own; None while it is registered.
    """

    def __init__(self, masters: tuple[RpcAddress, ...], rng: "random.Random") -> None:
        self.masters = masters
        self.terms = Terms()
        self.master: RpcEndpointRef | None = None
        self.registered = False
        self.attempts: int | None = None
        self.first_interval_s = round(FIRST_INTERVAL_S * (rng.random() + 0.5))
        self.later_interval_s = round(LATER_INTERVAL_S * (rng.random() + 0.5))

    def begin(self) -> Attempt | None:
        """Begin to look for a master; None if that is under way already."""
        self.registered = False
        if self.attempts is not None:
            return None
        self.attempts = 0
        return self.attempt()

    def next(self) -> Attempt | None:
        """Try again after nobody answered; None: that was enough, the worker gives up."""
        assert not self.registered
        assert self.attempts is not None
        self.attempts += 1
        return self.attempt() if self.attempts <= MAX_ATTEMPTS else None

    def attempt(self) -> Attempt:
        """Return the attempt that is due."""
        known = self.master.address if self.master is not None else None
        masters = self.masters if known is None or known in self.masters else (*self.masters, known)
        late = self.attempts is not None and self.attempts >= FIRST_ATTEMPTS
        return Attempt(masters, self.later_interval_s if late else self.first_interval_s)

    def accepted(self, master: RpcEndpointRef) -> None:
        """Take note that a master, whose term was accepted, has taken this worker or leads now."""
        self.master, self.registered, self.attempts = master, True, None

    def is_leader(self, address: RpcAddress) -> bool:
        """Tell whether an address is that of the leader."""
        return self.master is not None and self.master.address == address

    def check(self) -> None:
        """Assert the invariants."""
        assert self.registered == (self.attempts is None and self.master is not None)
        assert self.attempts is None or self.attempts <= MAX_ATTEMPTS + 1
