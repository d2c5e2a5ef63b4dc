"""RpcAddress and EndpointAddress: parse and print `minispark://name@host:port`."""

from dataclasses import dataclass

__all__ = ["RpcAddress"]


@dataclass(frozen=True, slots=True)
class RpcAddress:
    """Where an RpcEnv listens.

    Args:
        host: a name, an IPv4 or a bare IPv6 address.
        port: 1–65535.
    """

    host: str
    port: int
