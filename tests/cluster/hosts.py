"""Hosts for tests: network namespaces on a switch of their own, so that nothing else sees them.

They share processes, files and memory with this machine, but reach each other only over links that can be cut. Needs
root and iproute2; without them the tests are skipped.
"""

import os
import shutil
import subprocess
import uuid
from types import TracebackType

import pytest

from tests.cluster.daemons import Host

__all__ = ["Network"]


class Network:
    """So many hosts, from 10.77.0.1 on.

    Attributes:
        hosts: where processes of a cluster can run.
    """

    def __init__(self, count: int) -> None:
        self.name = f"ms-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self.switch = f"{self.name}-s"
        self.hosts = [
            Host(f"10.77.0.{number}", ("ip", "netns", "exec", f"{self.name}-{number}"))
            for number in range(1, count + 1)
        ]

    def __enter__(self) -> "Network":
        if shutil.which("ip") is None:
            pytest.skip("hosts of their own need iproute2 (the command ip)")
        made = run("ip", "netns", "add", self.switch, check=False)
        if made.returncode:
            pytest.skip(f"hosts of their own are not permitted here: {made.stderr.strip()}")
        try:
            run("ip", "-n", self.switch, "link", "add", "bridge", "type", "bridge")
            run("ip", "-n", self.switch, "link", "set", "bridge", "up")
            for number, host in enumerate(self.hosts, 1):
                self.add(number, host)
        except BaseException:
            self.remove()
            raise
        return self

    def add(self, number: int, host: Host) -> None:
        """Make a host and connect it with the switch."""
        namespace, link = host.prefix[-1], f"host{number}"
        run("ip", "netns", "add", namespace)
        run("ip", "-n", self.switch, "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        run("ip", "-n", self.switch, "link", "set", link, "master", "bridge", "up")
        run("ip", "-n", namespace, "link", "set", "lo", "up")
        run("ip", "-n", namespace, "addr", "add", f"{host.address}/24", "dev", "eth0")
        run("ip", "-n", namespace, "link", "set", "eth0", "up")

    def cut(self, host: Host) -> None:
        """Pull the cable: what is sent is lost, and nobody is told."""
        self.set_link(host, "down")

    def heal(self, host: Host) -> None:
        self.set_link(host, "up")

    def set_link(self, host: Host, state: str) -> None:
        run("ip", "-n", self.switch, "link", "set", f"host{self.hosts.index(host) + 1}", state)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def remove(self) -> None:
        """Let the hosts go; what runs there must have ended."""
        for namespace in (*(host.prefix[-1] for host in self.hosts), self.switch):
            run("ip", "netns", "del", namespace, check=False)


def run(*command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, check=check, capture_output=True, text=True)
