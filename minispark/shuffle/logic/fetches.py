"""What one attempt fetches of one shuffle from other processes: what to ask next, when again, when to give up.

`shuffle.fetcher` performs it. A request is asked, arrives whole and intact, waits for the reader, and is consumed;
the bytes asked for and not consumed stay under a bound. Peers take turns, so that all of them send at once. Whatever
fails is asked again, ever later, but not for long; a peer that is gone is given up at once, and damaged bytes are
asked for once more. Source: Spark's ShuffleBlockFetcherIterator and RetryingBlockTransferor.
"""

import enum
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from minispark.record import Record, record

__all__ = ["Ask", "AskState", "Fetches", "Problem", "RetryRules"]


@record
class RetryRules(Record):
    """The settings of fetching.

    Attributes:
        max_bytes: asked for and not consumed, at most; a larger request goes alone.
        wait_s: before the first retry of a request; doubled each time.
        max_time_s: how long a request is tried again in all.
    """

    max_bytes: int
    wait_s: float
    max_time_s: float


@record
class Problem(Record):
    """Why the attempt cannot have a block.

    Attributes:
        number: the request.
        position: the block's place in it.
        text: what is wrong.
        only_this_output: the writer's other outputs are as good as before.
    """

    number: int
    position: int
    text: str
    only_this_output: bool = False


class AskState(enum.Enum):
    """Where a request is."""

    WAITING = "waiting"
    ASKED = "asked"
    READY = "ready"
    LENT = "lent"
    CONSUMED = "consumed"


@dataclass(slots=True)
class Ask:
    """One request: its peer, about how many bytes it brings, and what became of it so far.

    `not_before` is when it may be asked; `failing_since` is when it failed first; `retries` counts its failures.
    """

    peer: int
    size_bytes: int
    state: AskState = AskState.WAITING
    not_before: float = 0.0
    failing_since: float = 0.0
    retries: int = 0
    was_damaged: bool = False


class Fetches:
    """The requests of one attempt for one shuffle.

    Args:
        requests: peer (any number that names it) and estimated bytes of each, in the order of the plan.
        rules: bounds and times.

    Attributes:
        in_flight: bytes asked for and not consumed.
        problem: why it cannot be done, once that is so; nothing more is asked then.
    """

    def __init__(self, requests: Sequence[tuple[int, int]], rules: RetryRules) -> None:
        self.rules = rules
        self.asks = [Ask(peer, size_bytes) for peer, size_bytes in requests]
        self.queues: dict[int, deque[int]] = {}
        for number, (peer, _) in enumerate(requests):
            self.queues.setdefault(peer, deque()).append(number)
        self.turns = deque(self.queues)
        self.ready: deque[int] = deque()
        self.in_flight = 0
        self.left = len(requests)
        self.problem: Problem | None = None

    def due(self, now: float, room: int) -> list[int]:
        """Return the requests to send now, and take them for asked.

        Args:
            now: seconds.
            room: how many may be sent at most.
        """
        found: list[int] = []
        passed = 0
        while self.problem is None and len(found) < room and passed < len(self.turns):
            number = self.first_of(self.turns[0], now)
            if number is not None and self.fits(self.asks[number]):
                self.take(number)
                found.append(number)
                passed = 0
            else:
                passed += 1
            self.turns.rotate(-1)
        return found

    def first_of(self, peer: int, now: float) -> int | None:
        """Return a peer's next request that may be asked now."""
        return next((number for number in self.queues[peer] if self.asks[number].not_before <= now), None)

    def fits(self, ask: Ask) -> bool:
        """Tell whether a request's bytes may be in flight too."""
        return not self.in_flight or self.in_flight + ask.size_bytes <= self.rules.max_bytes

    def take(self, number: int) -> None:
        """Take a request for asked."""
        ask = self.asks[number]
        self.queues[ask.peer].remove(number)
        ask.state = AskState.ASKED
        self.in_flight += ask.size_bytes

    def wake_at(self) -> float | None:
        """Return when a request that waits after a failure may be asked again; None if none does."""
        waiting = [self.asks[number].not_before for queue in self.queues.values() for number in queue]
        later = [moment for moment in waiting if moment > 0]
        return min(later) if later and self.problem is None else None

    def arrived(self, number: int, size_bytes: int) -> None:
        """Take note that a request's blocks are here, whole and intact, with so many bytes."""
        ask = self.asks[number]
        assert ask.state is AskState.ASKED, (number, ask)
        self.in_flight += size_bytes - ask.size_bytes
        ask.size_bytes = size_bytes
        ask.state = AskState.READY
        self.ready.append(number)

    def lend(self) -> int | None:
        """Return a request whose blocks are here, for the reader; None if there is none."""
        if not self.ready:
            return None
        number = self.ready.popleft()
        self.asks[number].state = AskState.LENT
        return number

    def consumed(self, number: int) -> None:
        """Take note that the reader is done with a request's blocks."""
        ask = self.asks[number]
        assert ask.state is AskState.LENT, (number, ask)
        ask.state = AskState.CONSUMED
        self.in_flight -= ask.size_bytes
        self.left -= 1

    def broke(self, number: int, text: str, now: float, *, is_gone: bool) -> None:
        """Take note that a request failed on its way.

        Args:
            number: the request.
            text: how.
            now: seconds.
            is_gone: the peer's process does not exist any more: another try would be in vain.
        """
        ask = self.asks[number]
        if not ask.retries:
            ask.failing_since = now
        wait_s = self.rules.wait_s * 2**ask.retries
        if is_gone or now + wait_s > ask.failing_since + self.rules.max_time_s:
            tries = f", tried {ask.retries + 1} times" if ask.retries else ""
            self.give_up(Problem(number, 0, text + tries))
            return
        ask.retries += 1
        self.again(number, now + wait_s)

    def unserved(self, number: int, position: int, text: str, *, only_this_output: bool) -> None:
        """Take note that the peer does not have a block: to ask again would not bring it back."""
        self.give_up(Problem(number, position, text, only_this_output))

    def damaged(self, number: int, position: int, text: str) -> None:
        """Take note that a block came with a wrong checksum: the request is asked once more, at once."""
        ask = self.asks[number]
        if ask.was_damaged:
            self.give_up(Problem(number, position, f"{text}, twice", only_this_output=True))
            return
        ask.was_damaged = True
        self.again(number, 0.0)

    def again(self, number: int, not_before: float) -> None:
        """Let a request wait for being asked again."""
        ask = self.asks[number]
        assert ask.state is AskState.ASKED, (number, ask)
        ask.state = AskState.WAITING
        ask.not_before = not_before
        self.in_flight -= ask.size_bytes
        self.queues[ask.peer].appendleft(number)

    def give_up(self, problem: Problem) -> None:
        """Ask for nothing more; the first problem counts."""
        if self.problem is None:
            self.problem = problem

    def check(self) -> None:
        """Assert that counts agree with the states."""
        states = [ask.state for ask in self.asks]
        out = [ask for ask in self.asks if ask.state in (AskState.ASKED, AskState.READY, AskState.LENT)]
        assert self.in_flight == sum(ask.size_bytes for ask in out), (self.in_flight, out)
        assert self.left == len(states) - states.count(AskState.CONSUMED)
        assert sorted(number for queue in self.queues.values() for number in queue) == [
            number for number, state in enumerate(states) if state is AskState.WAITING
        ]
