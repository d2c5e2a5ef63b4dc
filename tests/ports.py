"""Ports for tests of what has to be told its port before it listens."""

import contextlib
import random
import socket

__all__ = ["free_port"]

CANDIDATES = range(20_000, 30_000)
"""Below those that Linux gives to whoever asks for any: one of these could be somebody else's before it is used."""


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    for port in random.SystemRandom().sample(CANDIDATES, 100):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("a hundred ports are taken")
