"""The same work by hand: two worker processes and pipes, no scheduler, no retries, no lineage.

The limits of the benchmarks: what bare Python costs for the same dataflow. `HandPool` must be made before a loop or
thread exists: it forks.
"""

import asyncio
import multiprocessing
import os
import pickle
import select
import signal
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

__all__ = ["AsyncHandPool", "HandPool", "nothing"]

LENGTH = struct.Struct("!I")


def nothing(_: object) -> None:
    """Be an empty task."""


def exactly(connection: socket.socket, count: int) -> bytes:
    """Receive that many bytes; fewer if the peer is gone."""
    data = connection.recv(count)
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            break
        data += more
    return data


def send(connection: socket.socket, value: object) -> None:
    """Send one pickled value."""
    data = pickle.dumps(value, 5)
    connection.sendall(LENGTH.pack(len(data)) + data)


def receive(connection: socket.socket) -> Any:
    """Receive one pickled value.

    Raises:
        EOFError: the peer is gone.
    """
    header = exactly(connection, LENGTH.size)
    if len(header) < LENGTH.size:
        raise EOFError
    return pickle.loads(exactly(connection, LENGTH.unpack(header)[0]))


def worker(connection: socket.socket, others: Sequence[socket.socket]) -> None:
    """Run what comes, one after another, until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for other in others:
        other.close()
    try:
        while True:
            function, arguments = receive(connection)
            send(connection, function(*arguments))
    except (EOFError, ConnectionError):
        os._exit(0)


class HandPool:
    """Worker processes, each with a socket; a worker has one task at a time."""

    def __init__(self, count: int = 2) -> None:
        context = multiprocessing.get_context("fork")
        self.sockets: list[socket.socket] = []
        self.processes = []
        for _ in range(count):
            mine, its = socket.socketpair()
            self.sockets.append(mine)
            self.processes.append(context.Process(target=worker, args=(its, list(self.sockets)), daemon=True))
            self.processes[-1].start()
            its.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for connection in self.sockets:
            connection.close()
        for process in self.processes:
            process.join()

    def map(self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> list[Any]:
        """Run a function on each tuple of arguments, whichever worker is free; return the values in order."""
        waiting = deque(enumerate(calls))
        results: list[Any] = [None] * len(waiting)
        running: dict[int, tuple[int, socket.socket]] = {}
        poller = select.epoll()
        for connection in self.sockets:
            poller.register(connection, select.EPOLLIN)
            if waiting:
                index, arguments = waiting.popleft()
                send(connection, (function, arguments))
                running[connection.fileno()] = (index, connection)
        while running:
            for descriptor, _ in poller.poll():
                index, connection = running.pop(descriptor)
                results[index] = receive(connection)
                if waiting:
                    index, arguments = waiting.popleft()
                    send(connection, (function, arguments))
                    running[descriptor] = (index, connection)
        poller.close()
        return results


class AsyncHandPool:
    """The workers of a HandPool, used from a loop by many coroutines at once."""

    def __init__(self, pool: HandPool) -> None:
        self.loop = asyncio.get_running_loop()
        self.idle = list(pool.sockets)
        self.waiting: deque[tuple[asyncio.Future[Any], bytes]] = deque()
        self.running: dict[int, asyncio.Future[Any]] = {}
        for connection in pool.sockets:
            self.loop.add_reader(connection, self.answered, connection)

    def close(self) -> None:
        """Leave the loop; the pool goes on."""
        for connection in self.idle:
            self.loop.remove_reader(connection)

    def submit(self, function: Callable[..., Any], *arguments: object) -> asyncio.Future[Any]:
        """Run a call on the next free worker."""
        data = pickle.dumps((function, arguments), 5)
        future: asyncio.Future[Any] = self.loop.create_future()
        self.waiting.append((future, LENGTH.pack(len(data)) + data))
        self.dispatch()
        return future

    def dispatch(self) -> None:
        """Give waiting calls to idle workers."""
        while self.waiting and self.idle:
            connection = self.idle.pop()
            future, data = self.waiting.popleft()
            self.running[connection.fileno()] = future
            connection.sendall(data)

    def answered(self, connection: socket.socket) -> None:
        """Take a worker's answer."""
        future = self.running.pop(connection.fileno())
        value = receive(connection)
        self.idle.append(connection)
        if not future.done():
            future.set_result(value)
        self.dispatch()
