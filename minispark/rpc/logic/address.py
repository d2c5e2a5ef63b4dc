"""RpcAddress and EndpointAddress: parse and print `minispark://name@host:port`.

A Unix socket is an address too: its path in place of the host, and no port: `minispark+unix:///run/driver.sock`.
"""

from dataclasses import dataclass
from typing import Self

from minispark.errors import RpcAddressError

__all__ = ["EndpointAddress", "RpcAddress"]

SCHEME = "minispark://"
UNIX_SCHEME = "minispark+unix://"
FORMS = "minispark://host:port, minispark://[ipv6]:port, minispark+unix:///path"


@dataclass(frozen=True, slots=True)
class RpcAddress:
    """Where an RpcEnv listens.

    Args:
        host: a name, an IPv4 or a bare IPv6 address; or the absolute path of a Unix socket.
        port: 1–65535; 0 with a path.
    """

    host: str
    port: int

    @property
    def is_unix(self) -> bool:
        """Whether this is the path of a Unix socket."""
        return self.host.startswith("/")

    @property
    def host_port(self) -> str:
        """The form host:port, an IPv6 address in brackets; of a Unix socket the path."""
        if self.is_unix:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return (UNIX_SCHEME if self.is_unix else SCHEME) + self.host_port

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `minispark://host:port`; `host:port` alone is taken too.

        Raises:
            RpcAddressError: it is no address; the error shows the forms that are.
        """
        if text.startswith(UNIX_SCHEME):
            path = text.removeprefix(UNIX_SCHEME)
            if not path.startswith("/") or path == "/":
                raise RpcAddressError(f"{text!r} is not an RPC address: it needs an absolute path; forms: {FORMS}")
            return cls(path, 0)
        host, port = split_host_port(text.removeprefix(SCHEME), text)
        return cls(host, port)


@dataclass(frozen=True, slots=True)
class EndpointAddress:
    """The name of an endpoint and where its env listens; None if it does not (a client-mode env)."""

    name: str
    address: RpcAddress | None

    def __str__(self) -> str:
        if self.address is None:
            return f"minispark-client://{self.name}"
        scheme = UNIX_SCHEME if self.address.is_unix else SCHEME
        return f"{scheme}{self.name}@{self.address.host_port}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `minispark://name@host:port`.

        Raises:
            RpcAddressError: name, host or port is missing or malformed.
        """
        scheme = next((each for each in (SCHEME, UNIX_SCHEME) if text.startswith(each)), None)
        name, at, rest = text.removeprefix(scheme or "").partition("@")
        if scheme is None or not at or not name or any(sign in name for sign in "/?#: "):
            raise RpcAddressError(f"{text!r} is not an endpoint's address: minispark://name@host:port is needed")
        return cls(name, RpcAddress.parse(scheme + rest))


def split_host_port(rest: str, text: str) -> tuple[str, int]:
    """Split host:port or [ipv6]:port."""
    host, colon, digits = rest.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if bracketed else host
    plain = bool(bare) and not any(sign in bare for sign in "/?#@[] ") and (bracketed == (":" in bare))
    # isdecimal alone takes digits of other scripts
    if not colon or not plain or not (digits.isascii() and digits.isdecimal()) or not 0 < int(digits) <= 65535:
        raise RpcAddressError(f"{text!r} is not an RPC address; forms: {FORMS}")
    return bare, int(digits)
