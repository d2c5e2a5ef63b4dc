"""An event loop in virtual time that several simulated processes share, each owning what it has scheduled.

Whatever a callback schedules belongs to the process whose callback it is; so a process that is killed is gone with
all its timers, tasks and futures at once, and one that is frozen does nothing until it is thawed, and then all that
it has missed. Nothing here knows what the processes do.
"""

import asyncio
import contextlib
import contextvars
import heapq
import itertools
import selectors
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, TypeVarTuple

from minispark.testing.virtual_loop import Deadlock, VirtualLoop

__all__ = ["KILLED", "SimLoop", "SimProcess"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

KILLED = -9


class SimProcess:
    """A simulated process.

    Args:
        loop: runs it.
        name: unique, for people and for the seed of its chance.
        host: where it runs.

    Attributes:
        pid: unique in the loop.
        exit_code: how it ended; None while it lives.
        is_frozen: it does nothing, as after SIGSTOP.
        signals: what it does when it gets a signal, by number.
        on_end: called when it has ended, outside of it, in order.
        spent_s: real seconds that it took, if the loop has a meter.
    """

    def __init__(self, loop: "SimLoop", name: str, host: str) -> None:
        self.loop = loop
        self.name = name
        self.host = host
        self.pid = next(loop.pids)
        self.exit_code: int | None = None
        self.is_frozen = False
        self.spent_s = 0.0
        self.missed: list[asyncio.Handle] = []
        self.signals: dict[int, Callable[[], object]] = {}
        self.on_end: list[Callable[[int], object]] = []
        self.ended: asyncio.Future[int] = loop.create_future()

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self.exit_code is None

    def spawn(self, coroutine: Coroutine[Any, Any, T], name: str = "main") -> "asyncio.Task[T]":
        """Run a coroutine as this process."""
        task = self.loop.run_as(self, self.make_task, coroutine, name)
        self.loop.run_as(None, task.add_done_callback, self.crashed)
        return task

    def crashed(self, task: "asyncio.Task[Any]") -> None:
        """End it if what it does has failed: the simulation keeps the error."""
        if not task.cancelled() and task.exception() is not None:
            self.loop.errors.append({"message": f"{self} crashed", "exception": task.exception()})
            self.end(1)

    def make_task(self, coroutine: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """Make the task; the test kit is the one who starts processes."""
        return self.loop.create_task(coroutine, name=f"{self.name}: {name}")

    def signal(self, number: int) -> None:
        """Have it take a signal; one that it does not handle ends it."""
        if not self.is_alive:
            return
        handler = self.signals.get(number)
        if handler is None:
            self.end(-number)
        else:
            self.loop.call_as(self, handler)

    def end(self, code: int = KILLED) -> None:
        """End it now: nothing of it happens any more."""
        if self.exit_code is not None:
            return
        self.exit_code = code
        self.missed.clear()
        for callback in self.on_end:
            self.loop.run_as(None, callback, code)
        self.loop.run_as(None, self.ended.set_result, code)

    def freeze(self) -> None:
        """Stop it, as SIGSTOP does."""
        self.is_frozen = True

    def thaw(self) -> None:
        """Let it go on with all that it has missed."""
        self.is_frozen = False
        missed, self.missed = self.missed, []
        self.loop.resume(missed)

    def __repr__(self) -> str:
        return self.name


def run_owned(handle: "OwnedHandle | OwnedTimer", run: Callable[[], None]) -> None:
    """Run a handle as its process, unless that has ended or stands still."""
    process = handle.process
    loop = handle.sim
    if process is not None:
        if process.exit_code is not None:
            return
        if process.is_frozen:
            process.missed.append(handle)
            return
    loop.current = process
    began = 0.0 if loop.meter is None else loop.meter()
    try:
        run()
    finally:
        loop.current = None
        if loop.meter is not None and process is not None:
            process.spent_s += loop.meter() - began


class OwnedHandle(asyncio.Handle):
    """A callback of a process."""

    __slots__ = ("process", "sim")

    process: SimProcess | None
    sim: "SimLoop"

    def _run(self) -> None:
        run_owned(self, super()._run)


class OwnedTimer(asyncio.TimerHandle):
    """A timer of a process."""

    __slots__ = ("process", "sim")

    process: SimProcess | None
    sim: "SimLoop"

    def __lt__(self, other: asyncio.TimerHandle) -> bool:
        """Compare what the heap of timers compares, without a look at the class."""
        return self._when < other._when  # type: ignore[attr-defined, no-any-return]

    def _run(self) -> None:
        run_owned(self, super()._run)


class SimSelector(selectors.DefaultSelector):
    """Never waits and never looks: the clock jumps to the next timer."""

    loop: "SimLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Let the time pass that the loop would have waited."""
        if timeout is None:
            raise Deadlock(self.loop.describe_tasks())
        if timeout > 0:
            self.loop.now += timeout
        return []


class SimLoop(VirtualLoop):
    """A virtual loop whose callbacks belong to processes.

    Attributes:
        current: the process that runs now; None: the simulation itself.
        errors: what `call_exception_handler` was told.
        turns: callbacks that were scheduled.
        meter: a clock of the real world that tells what each process takes of it (`spent_s`); None: nobody asks.
    """

    pids: "itertools.count[int]"
    _ready: "deque[asyncio.Handle]"
    _scheduled: list[asyncio.TimerHandle]
    _selector: selectors.BaseSelector

    def __init__(self) -> None:
        super().__init__()
        self._selector.close()
        self._selector = selector = SimSelector()
        selector.loop = self
        self.current: SimProcess | None = None
        self.pids = itertools.count(1000)
        self.owners: weakref.WeakKeyDictionary[asyncio.Task[Any], SimProcess | None] = weakref.WeakKeyDictionary()
        self.errors: list[dict[str, Any]] = []
        self.is_over = False
        self.turns = 0
        self.meter: Callable[[], float] | None = None
        self.set_task_factory(make_task)
        self.set_exception_handler(lambda loop, context: self.errors.append(context))

    def run_as(self, process: SimProcess | None, callback: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call something as a process (None: as the simulation), now."""
        before, self.current = self.current, process
        try:
            return callback(*args)
        finally:
            self.current = before

    def call_as(self, process: SimProcess | None, callback: Callable[[*Ts], object], *args: *Ts) -> asyncio.Handle:
        """Call something as a process, soon."""
        return self.run_as(process, lambda: self.call_soon(callback, *args))

    def call_at_as(
        self, process: SimProcess | None, when: float, callback: Callable[[*Ts], object], *args: *Ts
    ) -> asyncio.TimerHandle:
        """Call something as a process, at a time."""
        return self.run_as(process, lambda: self.call_at(when, callback, *args))

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Call something in the next turn, as the process that runs now."""
        handle = OwnedHandle(callback, args, self, context)
        handle.process, handle.sim = self.current, self
        if not self.is_over:
            self.turns += 1
            self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """As `call_soon`: there is one thread at a time."""
        return self.call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call something at a time, as the process that runs now."""
        timer = OwnedTimer(when, callback, args, self, context)
        timer.process, timer.sim = self.current, self
        if not self.is_over:
            heapq.heappush(self._scheduled, timer)
            timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def resume(self, handles: list[asyncio.Handle]) -> None:
        """Have handles run that were held up, in their order."""
        self._ready.extend(handles)

    def add_signal_handler(self, sig: int, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Have the process that runs now take a signal."""
        if self.current is not None:
            self.current.signals[int(sig)] = lambda: callback(*args)

    def remove_signal_handler(self, sig: int) -> bool:
        """Have it take a signal no more."""
        return self.current is not None and self.current.signals.pop(int(sig), None) is not None

    def tasks_of(self, process: SimProcess) -> "list[asyncio.Task[Any]]":
        """Return the tasks of a process that are not done."""
        return [task for task, owner in self.owners.items() if owner is process and not task.done()]

    def finish(self) -> None:
        """Close the loop, whatever waits: what is left of killed processes is let go without an effect."""
        self.is_over = True
        asyncio._set_running_loop(self)  # for what unwinds below
        for task in list(self.owners):
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                with contextlib.suppress(BaseException):
                    task.get_coro().close()
        asyncio._set_running_loop(None)
        self._ready.clear()
        self._scheduled.clear()
        self.close()


def make_task(loop: Any, coroutine: Any, **options: Any) -> "asyncio.Task[Any]":
    """Make a task and note whose it is."""
    if loop.is_over:
        coroutine.close()
        raise asyncio.CancelledError("the simulation is over")
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
    loop.owners[task] = loop.current
    return task
