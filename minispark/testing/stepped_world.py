"""A world without an event loop: a clock, timers and mailboxes that are served one step at a time.

The fast way to run the driver's endpoints in a simulation: nothing is encoded, no task is made, a step costs about a
microsecond, and with `shuffled` the order in which mailboxes are served is drawn from the seed, so that histories
come up that one dispatcher never gives. What needs a running loop (connections, asks, `sleep`) is not here; for that
there is `virtual_loop`.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine
from heapq import heappop, heappush
from itertools import count
from typing import Any, NoReturn, TypeVarTuple, cast

from minispark.rpc.endpoint import RpcEndpoint
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.message import Ask, Message
from minispark.rpc.scope import TaskScope
from minispark.testing.virtual_loop import WALL_START_S, VirtualWorld

__all__ = ["SteppedRef", "SteppedScope", "SteppedWorld"]

Ts = TypeVarTuple("Ts")

REACH_S = 0.002
"""How much earlier than waiting messages a timer may fire in a shuffled world."""


class SteppedTimer:
    """What `call_later` returns: can be cancelled."""

    __slots__ = ("arguments", "callback")

    def __init__(self, callback: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self.callback: Callable[..., object] | None = callback
        self.arguments = arguments

    def cancel(self) -> None:
        """Do not call."""
        self.callback = None

    def cancelled(self) -> bool:
        """Tell whether it was cancelled, or has been called."""
        return self.callback is None


class OneWay:
    """The context of a message that nobody waits for an answer to."""

    sender: RpcAddress | None = None
    is_ask = False

    def reply(self, message: Message) -> None:
        """Drop it: nobody asked."""

    def send_failure(self, error: BaseException) -> None:
        """Drop it: nobody asked."""


ONE_WAY = OneWay()


class SteppedRef:
    """The ref of an endpoint in a stepped world: `send` queues, `ask` is refused.

    Args:
        name: the endpoint's name.
        world: serves it.
    """

    address: RpcAddress | None = None

    def __init__(self, name: str, world: "SteppedWorld", endpoint: RpcEndpoint) -> None:
        self.name = name
        self.world = world
        self.endpoint = endpoint
        self.queue: deque[Message] = deque()

    def send(self, message: Message) -> None:
        """Queue a message."""
        self.queue.append(message)
        self.world.arrivals.append(self)

    def ask(self, message: Ask[Any], timeout_s: float | None = None) -> NoReturn:
        """Refuse: an answer would need a loop."""
        raise NotImplementedError(f"{self.name} cannot be asked {type(message).__name__} in a stepped world")


class SteppedWorld(VirtualWorld):
    """Clock, timers and mailboxes; `step` does the next thing.

    Args:
        seed: of chance.
        shuffled: whether the next mailbox, and whether a timer that is nearly due comes first, is drawn by lot;
            otherwise messages are handled in the order in which they were sent, before any timer.

    Attributes:
        now: virtual seconds since the start.
        observer: if set, is shown each message with its endpoint's name before the endpoint gets it.
        steps: how many there were.
    """

    def __init__(self, seed: int = 0, *, shuffled: bool = False) -> None:
        super().__init__(seed)
        self.now = 0.0
        self.lots = random.Random(seed ^ 0x5EED) if shuffled else None
        self.observer: Callable[[str, Message], object] | None = None
        self.arrivals: deque[SteppedRef] = deque()  # a ref per message; whose turn it is
        self.timers: list[tuple[float, int, SteppedTimer]] = []
        self.numbers = count()
        self.steps = 0

    def register(self, name: str, endpoint: RpcEndpoint) -> SteppedRef:
        """Give an endpoint its ref; `on_start` runs at once."""
        ref = SteppedRef(name, self, endpoint)
        endpoint._ref = ref
        endpoint.on_start()
        return ref

    def monotonic(self) -> float:
        """Return the virtual time."""
        return self.now

    def wall(self) -> float:
        """Return the virtual time as seconds since the epoch."""
        return WALL_START_S + self.now

    def call_later(self, delay_s: float, callback: Callable[[*Ts], object], *args: *Ts) -> asyncio.TimerHandle:
        """Run a callback after a virtual delay."""
        timer = SteppedTimer(callback, args)
        heappush(self.timers, (self.now + max(delay_s, 0.0), next(self.numbers), timer))
        return cast(asyncio.TimerHandle, timer)  # of its methods, cancel and cancelled are what endpoints call

    def step(self) -> bool:
        """Handle one message or fire one timer; return False when there is nothing left to do."""
        self.steps += 1
        if not self.arrivals:
            return self.fire()
        if self.lots is None:
            ref = self.arrivals.popleft()
        else:
            if self.timers and self.timers[0][0] <= self.now + REACH_S and self.lots.random() < 0.2:
                return self.fire()
            # Any mailbox with mail may be served next; each keeps its own order.
            place = self.lots.randrange(min(len(self.arrivals), 16))
            ref = self.arrivals[place]
            del self.arrivals[place]
        self.deliver(ref)
        return True

    def deliver(self, ref: SteppedRef) -> None:
        """Give an endpoint its next message; what it raises goes to its `on_error`."""
        message = ref.queue.popleft()
        if self.observer is not None:
            self.observer(ref.name, message)
        try:
            ref.endpoint.receive(message, ONE_WAY)
        except Exception as error:  # noqa: BLE001 — the message boundary
            ref.endpoint.on_error(error)

    def fire(self) -> bool:
        """Let the time of the next timer come, and call it; return False if there is none."""
        while self.timers:
            when, _, timer = heappop(self.timers)
            callback = timer.callback
            if callback is not None:
                timer.callback = None
                self.now = max(self.now, when)
                callback(*timer.arguments)
                return True
        return False

    def run(self, until_s: float = float("inf")) -> None:
        """Do all there is to do up to a time."""
        if self.lots is None and self.observer is None:
            self.run_in_order(until_s)
            return
        while (self.arrivals or (self.timers and self.timers[0][0] <= until_s)) and self.step():
            pass
        self.now = max(self.now, until_s) if until_s != float("inf") else self.now

    def run_in_order(self, until_s: float) -> None:
        """Do the same as `run`, without drawing lots: the loop of large simulations."""
        arrivals, timers = self.arrivals, self.timers
        while True:
            while arrivals:
                self.steps += 1
                self.deliver(arrivals.popleft())
            if not timers or timers[0][0] > until_s:
                break
            self.steps += 1
            self.fire()
        if until_s != float("inf"):
            self.now = max(self.now, until_s)


class SteppedScope(TaskScope):
    """Runs what is spawned here and now; it must wait for nothing."""

    def spawn(self, coroutine: Coroutine[Any, Any, Any], *, name: str, owner: RpcEndpoint | None = None) -> Any:
        """Run a coroutine to its end.

        Raises:
            RuntimeError: it waits for something.
        """
        try:
            coroutine.send(None)
        except StopIteration as end:
            return end.value
        coroutine.close()
        raise RuntimeError(f"{name} waits for something, and nothing comes in a stepped world")
