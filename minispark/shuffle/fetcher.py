"""Fetching map outputs from other processes, in the executor, for its runners.

`Executor` hands on what runners ask and says when an attempt ends. What is asked when, and when it is given up, is
decided by `logic.fetches`; here requests go out over `storage.transfer`, and what comes is verified and put where the
runner reads it: small answers travel in the reply, larger ones are files in the session directory. Whatever a fetch
has begun, asked or written ends with its attempt.
"""

import asyncio
import itertools
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from minispark.errors import PeerRefused, RpcError
from minispark.ids import TaskId
from minispark.messages.fetching import FetchedBlocks, FetchOpened, NextFetched, OpenFetch, PeerBlocks
from minispark.messages.runner import AnswerFailed, RunnerReply, RunnerRequest
from minispark.messages.transfer import FetchMapOutputs, MapOutputsHead
from minispark.rpc.bulk import BulkChannel
from minispark.rpc.message import Message
from minispark.shuffle.arrivals import Arrival, Damaged, FileArrival, MemoryArrival
from minispark.shuffle.logic.fetches import Fetches, Problem, RetryRules
from minispark.storage.transfer import Transfer, address_of, expect

__all__ = ["Fetcher"]

logger = logging.getLogger(__name__)

INLINE_BYTES: Final = 256 << 10
"""Answers up to this travel in the reply to the runner; a file would cost more than the copy."""

BATCH_BYTES: Final = 4 << 20  # written to a file at once, off the loop

Reply = Callable[[RunnerReply | AnswerFailed], None]


class Unserved(RpcError):
    """The peer answered that it cannot serve a block; `position` is its place, see `logic.fetches.Problem`."""

    def __init__(self, position: int, text: str, *, only_this_output: bool) -> None:
        super().__init__(text)
        self.position = position
        self.only_this_output = only_this_output


@dataclass(slots=True, eq=False)
class Fetch:
    """One attempt's fetch of one shuffle.

    Attributes:
        task_id: the attempt.
        opened: what the runner asked for.
        state: what is decided.
        tasks: the requests that are on their way.
        arrivals: what has arrived and is not consumed.
        lent: what the runner reads now.
        waiting: answers the runner that waits for the next arrival.
        timer: of the next retry.
    """

    task_id: TaskId
    opened: OpenFetch
    state: Fetches
    tasks: dict[int, "asyncio.Task[None]"] = field(default_factory=dict)
    arrivals: dict[int, Arrival] = field(default_factory=dict)
    lent: int | None = None
    waiting: Reply | None = None
    timer: asyncio.TimerHandle | None = None


class Fetcher:
    """Fetches for the runners of one executor.

    Args:
        transfer: channels to other processes; its env's clock, scope and settings are used.
        directory: the session directory, whose `blocks` get the files.
    """

    def __init__(self, transfer: Transfer, directory: str) -> None:
        conf = transfer.env.conf
        self.transfer = transfer
        self.world = transfer.env.world
        self.scope = transfer.env.scope
        self.directory = directory
        self.rules = RetryRules(
            conf.reducer_max_size_in_flight, conf.shuffle_fetch_retry_wait, conf.shuffle_fetch_retry_time
        )
        self.max_requests = conf.reducer_max_requests_in_flight
        self.silence_s = conf.network_timeout
        self.fetches: dict[int, Fetch] = {}
        self.of_task: dict[TaskId, list[int]] = {}
        self.on_their_way = 0
        self.numbers = itertools.count(1)

    def answers_to(self) -> tuple[type[Message], ...]:
        """Return the classes of the requests it answers; see `RunnerHelper`."""
        return (OpenFetch, NextFetched)

    def asked(self, task_id: TaskId, request: RunnerRequest, reply: Reply) -> None:
        """Take what a runner asks for; the reply may be given later, or never if the attempt ends before."""
        if isinstance(request, OpenFetch):
            reply(FetchOpened(self.open(task_id, request)))
            return
        assert isinstance(request, NextFetched)
        fetch = self.fetches.get(request.fetch_id)
        if fetch is None or fetch.task_id != task_id:
            return  # of an attempt that has ended: nobody waits
        self.consumed(fetch)
        fetch.waiting = reply
        self.go_on(fetch)

    def open(self, task_id: TaskId, opened: OpenFetch) -> int:
        """Begin a fetch; return its number."""
        fetch_id = next(self.numbers)
        peers: dict[tuple[str, int], int] = {}
        requests = [
            (peers.setdefault((asked.location.host, asked.location.port), len(peers)), asked.size_bytes)
            for asked in opened.requests
        ]
        fetch = self.fetches[fetch_id] = Fetch(task_id, opened, Fetches(requests, self.rules))
        self.of_task.setdefault(task_id, []).append(fetch_id)
        self.go_on(fetch)
        return fetch_id

    def attempt_ended(self, task_id: TaskId, succeeded: bool) -> None:
        """Give up and remove whatever is being fetched, or was, for an attempt that has ended."""
        for fetch_id in self.of_task.pop(task_id, ()):
            fetch = self.fetches.pop(fetch_id)
            for task in fetch.tasks.values():
                task.cancel()
            for arrival in fetch.arrivals.values():
                arrival.discard()
            if fetch.timer is not None:
                fetch.timer.cancel()

    def consumed(self, fetch: Fetch) -> None:
        """Let go of what the runner has read."""
        if fetch.lent is not None:
            fetch.arrivals.pop(fetch.lent).discard()
            fetch.state.consumed(fetch.lent)
            fetch.lent = None

    def go_on(self, fetch: Fetch) -> None:
        """Send the requests that are due, and answer the runner if there is something for it."""
        if self.scope.closed:
            return
        now = self.world.monotonic()
        for number in fetch.state.due(now, self.max_requests - self.on_their_way):
            self.on_their_way += 1
            task = self.scope.spawn(
                self.run(fetch, number, fetch.opened.requests[number]), name=f"fetch for task {fetch.task_id}"
            )
            fetch.tasks[number] = task
            task.add_done_callback(partial(self.ended, fetch, number))
        if fetch.timer is not None:
            fetch.timer.cancel()
            fetch.timer = None
        wake_at = fetch.state.wake_at()
        if wake_at is not None:
            fetch.timer = self.world.call_later(max(0.0, wake_at - now), self.go_on, fetch)
        if fetch.waiting is not None:
            self.answer(fetch, fetch.waiting)

    def answer(self, fetch: Fetch, reply: Reply) -> None:
        """Tell a runner that waits what has arrived, or that nothing will."""
        problem = fetch.state.problem
        if problem is not None:
            fetch.waiting = None
            reply(
                FetchedBlocks(problem.number, (), "", b"", problem.text, problem.position, problem.only_this_output)
            )
            return
        number = fetch.state.lend()
        if number is not None:
            fetch.waiting = None
            fetch.lent = number
            arrival = fetch.arrivals[number]
            reply(FetchedBlocks(number, arrival.sizes, arrival.path, arrival.data))

    def ended(self, fetch: Fetch, number: int, task: "asyncio.Task[None]") -> None:
        """Note that a request is no longer on its way; others may go."""
        self.on_their_way -= 1
        fetch.tasks.pop(number, None)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            fetch.state.give_up(Problem(number, 0, f"{type(error).__name__}: {error}"))
        for other in list(self.fetches.values()):
            if self.on_their_way >= self.max_requests:
                break
            self.go_on(other)

    async def run(self, fetch: Fetch, number: int, asked: PeerBlocks) -> None:
        """Send one request, and take note of what became of it."""
        state = fetch.state
        try:
            arrival = await self.fetch(fetch, number, asked)
        except Damaged as error:
            logger.warning("task %d: %s", fetch.task_id, error)
            state.damaged(number, error.position, str(error))
        except Unserved as error:
            state.unserved(number, error.position, str(error), only_this_output=error.only_this_output)
        except (RpcError, TimeoutError) as error:
            text = f"{type(error).__name__}: {error}" if str(error) else f"silent for {self.silence_s:g} s"
            logger.info("task %d: fetching from %s: %s", fetch.task_id, asked.location, text)
            state.broke(number, text, self.world.monotonic(), is_gone=isinstance(error, PeerRefused))
        except OSError as error:
            state.broke(number, f"it cannot be kept here: {error}", self.world.monotonic(), is_gone=False)
        else:
            fetch.arrivals[number] = arrival
            state.arrived(number, sum(arrival.sizes))

    async def fetch(self, fetch: Fetch, number: int, asked: PeerBlocks) -> Arrival:
        """Fetch the blocks of one request.

        Raises:
            Unserved: the peer does not have one of them.
            Damaged: one has a wrong checksum.
            RpcError: the peer cannot be reached, or its answer broke off.
            TimeoutError: it is silent.
            OSError: the blocks cannot be written.
        """
        location, opened = asked.location, fetch.opened
        request = FetchMapOutputs(location.executor_id, opened.shuffle_id, opened.reducer, asked.map_ids)
        async with (
            asyncio.timeout(self.silence_s) as patience,
            self.transfer.channel(address_of(location)) as channel,
        ):
            await channel.send(request)
            head = await expect(channel, MapOutputsHead)
            if not any(head.problems):
                return await self.receive(channel, head, self.path_of(fetch, number), patience)
        position = next(place for place, problem in enumerate(head.problems) if problem)
        raise Unserved(position, head.problems[position], only_this_output=head.directory_is_there)

    def path_of(self, fetch: Fetch, number: int) -> str:
        """Return where a request's blocks go if they are large."""
        return os.path.join(self.directory, "blocks", f"fetch_{fetch.task_id}_{next(self.numbers)}_{number}")

    async def receive(
        self, channel: BulkChannel, head: MapOutputsHead, path: str, patience: asyncio.Timeout
    ) -> Arrival:
        """Receive blocks into memory or a file, all of them even if one is damaged.

        Raises:
            Damaged: one is.
        """
        if sum(head.sizes) <= INLINE_BYTES:
            arrival: Arrival = MemoryArrival(head.sizes, head.checksums)
            async for piece in channel.receive_data():
                arrival.take([piece])
        else:
            arrival = await self.receive_file(channel, head, path, patience)
        if arrival.damaged is not None:
            arrival.discard()
            raise arrival.damaged
        return arrival

    async def receive_file(
        self, channel: BulkChannel, head: MapOutputsHead, path: str, patience: asyncio.Timeout
    ) -> Arrival:
        """Receive blocks into a file, written off the loop while more arrives."""
        run_blocking = self.world.run_blocking
        arrival = FileArrival(head.sizes, head.checksums, path)
        try:
            pieces, size = [], 0
            async for piece in channel.receive_data():
                pieces.append(piece)
                size += len(piece)
                if size >= BATCH_BYTES:
                    await run_blocking(arrival.take, pieces)
                    patience.reschedule(asyncio.get_running_loop().time() + self.silence_s)
                    pieces, size = [], 0
            await run_blocking(arrival.take, pieces)
            await run_blocking(arrival.close)
        except BaseException:
            arrival.abandon()
            raise
        return arrival
