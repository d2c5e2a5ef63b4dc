"""Whether an application is known to a master, and to which: the decisions of `deploy.app_client`.

Rounds of registration with all masters until one answers, or the last round is over; then what masters that come and
go mean. Must not send anything. Source: Spark's StandaloneAppClient.
"""

import enum

from minispark.ids import ApplicationId
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.ref import RpcEndpointRef

__all__ = ["ROUNDS", "ROUND_S", "AppRegistration", "Registered"]

ROUNDS = 3
ROUND_S = 20.0


class Registered(enum.Enum):
    """What a master's answer to a registration means."""

    NEW = "the application has an id now"
    AGAIN = "the master repeats what is known"
    TWICE = "another master made a second application of it, which nobody wants"


class AppRegistration:
    """The state of an application's registration.

    Attributes:
        app_id: given by the first master that answered; None before.
        master: the leader, as far as is known; None before the registration.
        connected: whether the leader's connection is there, and the leader answers.
        rounds: of registration, so far.
        ended: stopped, given up, or removed by the master: nothing more is reported.
        wanted: how many executors were asked for last; None if that was left to the application's description.
    """

    def __init__(self) -> None:
        self.app_id: ApplicationId | None = None
        self.master: RpcEndpointRef | None = None
        self.connected = False
        self.rounds = 0
        self.ended = False
        self.wanted: int | None = None

    def begin_round(self) -> bool:
        """Begin a round of registration; return False if there were enough: no master answers."""
        assert self.app_id is None
        if self.rounds == ROUNDS:
            return False
        self.rounds += 1
        return True

    def registered(self, app_id: ApplicationId, master: RpcEndpointRef) -> Registered:
        """Take a master's answer to a registration."""
        if self.app_id not in (None, app_id):
            return Registered.TWICE
        outcome = Registered.NEW if self.app_id is None else Registered.AGAIN
        self.app_id, self.master, self.connected = app_id, master, True
        return outcome

    def master_changed(self, master: RpcEndpointRef) -> ApplicationId | None:
        """Follow a new leader; return the id to answer with, or None if there is none yet: a round will come."""
        if self.app_id is not None:
            self.master, self.connected = master, True
        return self.app_id

    def master_lost(self) -> bool:
        """Take note that the leader's connection ended; return whether that is news."""
        was, self.connected = self.connected, False
        return was

    def master_found(self, address: RpcAddress) -> bool:
        """Take note of a leader that knows the application; return whether it is the one that was lost."""
        if self.master is None or self.master.address != address or self.connected or self.ended:
            return False
        self.connected = True
        return True

    def end(self) -> bool:
        """Take note that all is over; return whether that is news."""
        was, self.ended = self.ended, True
        return not was

    def check(self) -> None:
        """Assert the invariants."""
        assert self.rounds <= ROUNDS
        assert (self.app_id is None) == (self.master is None)
        assert not self.connected or self.master is not None
