"""The tasks of a set that wait for a slot, found by executor, host and rack.

Used by `task_set.TaskSet`, twice: for tasks that must run, and for those that get a second attempt. A task is a
number on stacks, once for each place it prefers; launched, it is struck off `wanted`, and what stacks still say of it
is dropped when it is met. So adding costs what its preferences are, and taking costs one task.
A stack is a bytearray of packed numbers: there may be one per host and set, and the garbage collector would
look at each list or array whenever it makes its rounds.
Source: Spark's PendingTasksByLocality.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from struct import Struct
from typing import TypeVar

from minispark.ids import ExecutorId
from minispark.messages.scheduler import pack_integers, unpack_integers
from minispark.messages.task import Preferences, TaskLocation
from minispark.scheduler.logic.locality import Locality

__all__ = ["Pending", "Places", "Refused"]

K = TypeVar("K", bound=str)

ENTRY_BYTES = 4
unpack_entry = Struct("i").unpack_from

Refused = Callable[[int], bool]
"""Tells whether a task may not run in the place that is offered; it stays pending for others."""

PROCESS, NODE, NO_PREF, RACK, ANY = Locality
WANTS_HOST = 1
WANTS_EXECUTOR = 2


class Places:
    """Where each task of a set would like to run.

    Attributes:
        kinds: a byte a task: 0 for no preference, else WANTS_HOST, perhaps with WANTS_EXECUTOR.
    """

    __slots__ = ("kinds", "locations", "number_of", "numbers", "starts")

    def __init__(self) -> None:
        self.kinds = bytearray()
        self.locations: list[TaskLocation] = []
        self.number_of: dict[TaskLocation, int] = {}
        self.numbers = array("i")
        self.starts = array("i")  # empty while nobody prefers anything

    def add(self, count: int, preferences: Preferences) -> bool:
        """Take the preferences of the next tasks; tell whether any of them has one."""
        if not preferences.locations or not preferences.starts:
            self.kinds.extend(bytes(count))
            if self.starts:
                self.starts.extend([len(self.numbers)] * count)
            return False
        if not self.starts:
            self.starts.extend([0] * (len(self.kinds) + 1))
        numbers = [self.number(location) for location in preferences.locations]
        base = len(self.numbers)
        places = unpack_integers(preferences.places)
        self.numbers.extend([numbers[place] for place in places])
        starts = unpack_integers(preferences.starts)
        self.starts.extend([base + end for end in starts[1:]])
        wants = [WANTS_HOST | WANTS_EXECUTOR if location.executor_id else WANTS_HOST for location in self.locations]
        if WANTS_HOST | WANTS_EXECUTOR in wants:
            self.kinds.extend(self.kind(row, wants) for row in range(len(self.kinds), len(self.kinds) + count))
        else:
            self.kinds.extend([WANTS_HOST if ends else 0 for ends in map(int.__sub__, starts[1:], starts)])
        return True

    def number(self, location: TaskLocation) -> int:
        """Return the number of a location."""
        number = self.number_of.get(location)
        if number is None:
            number = self.number_of[location] = len(self.locations)
            self.locations.append(location)
        return number

    def kind(self, index: int, wants: list[int]) -> int:
        """Return what a task wants: what one of its places is, all together."""
        kind = 0
        for number in self.numbers[self.starts[index] : self.starts[index + 1]]:
            kind |= wants[number]
        return kind

    def of(self, index: int) -> list[TaskLocation]:
        """Return the places of one task."""
        if not self.kinds[index]:
            return []
        return [self.locations[number] for number in self.numbers[self.starts[index] : self.starts[index + 1]]]


class Pending:
    """Stacks of tasks: for each executor and host somebody prefers, of those without preference, of those with one.

    Args:
        places: where each task would like to run.

    Attributes:
        wanted: a byte a task: whether it waits.
        waiting: how many tasks wait that want each level; for NO_PREF those without preference, for ANY all.
        hosts: whoever prefers an executor prefers its host too, so a host that is not in it has no near task.
    """

    __slots__ = ("executors", "hosts", "none", "placed", "places", "waiting", "wanted")

    def __init__(self, places: Places) -> None:
        self.places = places
        self.wanted = bytearray()
        self.waiting = [0, 0, 0, 0, 0]
        self.executors: dict[ExecutorId, bytearray] = {}
        self.hosts: dict[str, bytearray] = {}
        self.none = bytearray()
        self.placed = bytearray()

    # -- in ----------------------------------------------------------------------------------------------------------

    def extend(self, count: int, placed: bool) -> None:
        """Take the next tasks, which `places` knows already; they go below what is pending: earlier ones run first.

        Args:
            count: how many.
            placed: whether any of them prefers a place.
        """
        first = len(self.wanted)
        self.wanted.extend(b"\1" * count)
        self.waiting[ANY] += count
        downwards = range(first + count - 1, first - 1, -1)
        if not placed:
            self.waiting[NO_PREF] += count
            self.none[:0] = pack_integers(downwards)
            return
        kinds = self.places.kinds
        chunk = kinds[first:]
        wish = count - chunk.count(0)
        self.waiting[NO_PREF] += count - wish
        self.waiting[NODE] += wish
        self.waiting[RACK] += wish
        self.waiting[PROCESS] += chunk.count(WANTS_HOST | WANTS_EXECUTOR)
        if wish < count:
            self.none[:0] = pack_integers([index for index in downwards if not kinds[index]])
        self.placed[:0] = pack_integers([index for index in downwards if kinds[index]])
        locations = self.places.locations
        merge_below(self.hosts, self.stacked([location.host for location in locations], downwards))
        if self.waiting[PROCESS]:
            merge_below(self.executors, self.stacked([location.executor_id for location in locations], downwards))

    def stacked(self, keys: Sequence[K], downwards: range) -> dict[K, bytearray]:
        """Return stacks of tasks by the keys of their places; a place without one has an empty key."""
        stacks: dict[K, bytearray] = {}
        stack_of = [stacks.setdefault(key, bytearray()) for key in keys]
        starts, numbers = self.places.starts, self.places.numbers
        packed = pack_integers(downwards)
        end = starts[downwards[0] + 1]
        at = 0
        for index in downwards:
            start = starts[index]
            entry = packed[at : at + ENTRY_BYTES]
            for number in numbers[start:end]:
                stack_of[number] += entry
            end = start
            at += ENTRY_BYTES
        return {key: stack for key, stack in stacks.items() if key and stack}

    def push(self, index: int) -> None:
        """Take a task that must run again, before all others."""
        if self.wanted[index]:
            return
        self.wanted[index] = 1
        self.count(index, 1)
        entry = pack_integers((index,))
        if not self.places.kinds[index]:
            self.none += entry
            return
        self.placed += entry
        for location in self.places.of(index):
            self.hosts.setdefault(location.host, bytearray()).extend(entry)
            if location.executor_id:
                self.executors.setdefault(location.executor_id, bytearray()).extend(entry)

    def start_over(self) -> None:
        """Have all tasks wait again, as at first; what they were taken off is not added to, however often."""
        count = len(self.wanted)
        self.clear()
        self.wanted = bytearray()
        self.waiting[:] = (0,) * len(self.waiting)
        self.extend(count, bool(self.places.starts))

    def count(self, index: int, change: int) -> None:
        """Count a task in (+1) or out (−1)."""
        waiting = self.waiting
        waiting[ANY] += change
        kind = self.places.kinds[index]
        if not kind:
            waiting[NO_PREF] += change
            return
        waiting[NODE] += change
        waiting[RACK] += change
        if kind & WANTS_EXECUTOR:
            waiting[PROCESS] += change

    # -- out ---------------------------------------------------------------------------------------------------------

    def strike(self, index: int) -> None:
        """Note that a task waits no more: it was launched, or is done."""
        if self.wanted[index]:
            self.wanted[index] = 0
            waiting = self.waiting
            if self.places.kinds[index]:
                self.count(index, -1)
            else:
                waiting[ANY] -= 1
                waiting[NO_PREF] -= 1
            if not waiting[ANY]:
                self.clear()

    def clear(self) -> None:
        """Let go of what the stacks still say of tasks that wait no more."""
        self.executors.clear()
        self.hosts.clear()
        del self.none[:], self.placed[:]

    def from_executor(self, executor_id: ExecutorId, refused: Refused | None) -> int:
        """Return a task that prefers this executor, −1 if there is none."""
        stack = self.executors.get(executor_id)
        if stack is None:
            return -1
        index = self.top(stack, refused)
        if not stack:
            self.executors.pop(executor_id, None)
        return index

    def from_host(self, host: str, refused: Refused | None) -> int:
        """Return a task that prefers this host, −1 if there is none."""
        stack = self.hosts.get(host)
        if stack is None:
            return -1
        index = self.top(stack, refused)
        if not stack:
            self.hosts.pop(host, None)
        return index

    def from_hosts(self, hosts: Iterable[str], refused: Refused | None) -> int:
        """Return a task that prefers one of these hosts, −1 if there is none."""
        for host in hosts:
            index = self.from_host(host, refused)
            if index >= 0:
                return index
        return -1

    def top(self, stack: bytearray, refused: Refused | None) -> int:
        """Take the uppermost task that waits and is not refused off a stack; −1: none. Refused ones stay."""
        wanted = self.wanted
        at = len(stack)
        while at:
            at -= ENTRY_BYTES
            index: int = unpack_entry(stack, at)[0]
            if not wanted[index]:
                del stack[at : at + ENTRY_BYTES]
            elif refused is None or not refused(index):
                del stack[at : at + ENTRY_BYTES]
                return index
        return -1

    def next_ones(self) -> Iterator[int]:
        """Return the task without preference and the one with preferences that are to run next."""
        for stack in (self.none, self.placed):
            while stack:
                index: int = unpack_entry(stack, len(stack) - ENTRY_BYTES)[0]
                if self.wanted[index]:
                    yield index
                    break
                del stack[-ENTRY_BYTES:]

    # -- invariants --------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Assert what always holds."""
        wanted = [index for index in range(len(self.wanted)) if self.wanted[index]]
        assert self.waiting[ANY] == len(wanted), "waiting tasks are miscounted"
        placed, none = set(unpack_integers(bytes(self.placed))), set(unpack_integers(bytes(self.none)))
        for index in wanted:
            if not self.places.kinds[index]:
                assert index in none, f"task {index} is forgotten"
                continue
            assert index in placed, f"task {index} is forgotten"
            for location in self.places.of(index):
                assert index in unpack_integers(bytes(self.hosts[location.host])), (
                    f"task {index} is forgotten on {location.host}"
                )
                assert not location.executor_id or index in unpack_integers(
                    bytes(self.executors[location.executor_id])
                )


def merge_below(stacks: dict[K, bytearray], below: Mapping[K, bytearray]) -> None:
    """Put each stack below the one with its key."""
    for key, stack in below.items():
        if key in stacks:
            stacks[key][:0] = stack
        else:
            stacks[key] = stack
