"""The executor's ends of what it shares with one runner: conversation, control socket, page.

`process_pool` makes one per runner and closes it when the runner is gone; a fresh runner has a fresh link, so nothing
of a dead one can be taken for its successor's. Must not know what slots are.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import Any

from minispark.executor.kill_bracket import KILL_PACKET_SIZE
from minispark.executor.loop_channel import LoopChannel
from minispark.executor.shared_page import SharedPage
from minispark.ids import TaskId
from minispark.messages.runner import KillAnswered, KillAttempt
from minispark.rpc.logic.codec import decode, encode
from minispark.rpc.message import Message
from minispark.rpc.world import World

__all__ = ["RunnerLink"]

REASON_CHARACTERS = 1000


class RunnerLink:
    """One runner, seen from its executor.

    Args:
        world: makes the sockets.
        loop: the running loop.
        incarnation: the runner's number.
        max_size: the largest frame accepted, in bytes.
        buffer: memory to receive into; see `LoopChannel`.
        on_message: called with each message of the conversation, and each `KillAnswered`.
        on_end: called once when the runner closed the conversation or broke its rules, with a text.

    Attributes:
        fds: the runner's descriptors, to be handed to the zygote; -1 afterwards.
        pid: the runner's process id, once it is known.

    Raises:
        OSError: the system has no descriptors left.
    """

    def __init__(
        self,
        world: World,
        loop: asyncio.AbstractEventLoop,
        incarnation: int,
        max_size: int,
        buffer: bytearray,
        on_message: Callable[[Any], None],
        on_end: Callable[[str], None],
    ) -> None:
        self.loop = loop
        self.incarnation = incarnation
        self.on_message = on_message
        self.pid: int | None = None
        with contextlib.ExitStack() as undo:
            link, their_link = world.socket_pair(socket.SOCK_STREAM)
            undo.callback(link.close)
            undo.callback(their_link.close)
            self.control, their_control = world.socket_pair(socket.SOCK_SEQPACKET)
            undo.callback(self.control.close)
            undo.callback(their_control.close)
            self.page, page_fd = SharedPage.create()
            undo.pop_all()
        self.fds = (their_link.detach(), their_control.detach(), page_fd)
        self.control.setblocking(False)
        self.channel = LoopChannel(loop, link, max_size, buffer, on_message, on_end)
        self.control_fd = self.control.fileno()
        loop.add_reader(self.control_fd, self.on_control)

    def take_fds(self) -> tuple[int, ...]:
        """Return the runner's descriptors; they are the caller's to close."""
        fds, self.fds = self.fds, (-1, -1, -1)
        return fds

    def send(self, message: Message) -> None:
        """Say something in the conversation; dropped if the runner is gone."""
        self.channel.send(message)

    def send_kill(self, task_id: TaskId, interrupt: bool, reason: str) -> None:
        """Put a kill where the signal handler looks; the signal is the caller's to send."""
        kill = KillAttempt(self.incarnation, task_id, interrupt, reason[:REASON_CHARACTERS])
        with contextlib.suppress(OSError):  # full or gone: then SIGKILL follows
            self.control.send(encode(kill)[0])

    def on_control(self) -> None:
        """Pass on the answers to kills."""
        with contextlib.suppress(BlockingIOError):
            while packet := self.next_packet():
                message = decode(packet)
                if isinstance(message, KillAnswered):
                    self.on_message(message)
            self.loop.remove_reader(self.control_fd)

    def next_packet(self) -> bytes:
        """Return the next packet; empty at the end."""
        try:
            return self.control.recv(KILL_PACKET_SIZE)
        except ConnectionResetError:
            return b""

    def drain(self) -> None:
        """Take all that the runner said before it went."""
        self.channel.drain()

    def close(self) -> None:
        """Close everything; nothing is reported any more."""
        self.channel.close()
        if not self.loop.is_closed():
            self.loop.remove_reader(self.control_fd)
        self.control.close()
        self.page.close()
        for fd in self.take_fds():
            if fd >= 0:
                os.close(fd)
