"""The lifeline: a descriptor that an executor process inherits from its worker.

The worker writes one line with what must not stand on a command line, and keeps its end open as long as it lives.
The end of the line is the worker's end, and the executor's too; all that the executor says on it is that it is ready.
Source: Spark's WorkerWatcher, which watches a connection to the worker; a descriptor needs no address, no secret of
the cluster, and notices SIGKILL at once.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import Callable
from typing import Final

from minispark.errors import MiniSparkError
from minispark.record import Record, record
from minispark.rpc.logic.address import RpcAddress

__all__ = ["Credentials", "Lifeline"]

MAX_LINE: Final = 16 * 1024
READY: Final = b"ready\n"


@record
class Credentials(Record):
    """What the worker writes.

    Attributes:
        secret: the application's.
        realm: its name.
        service: where the host's shuffle service listens, if it has one.
        settings: what is this host's, not the application's: `minispark.ssl.*`.
    """

    secret: bytes
    realm: str
    service: RpcAddress | None
    settings: dict[str, str]

    @classmethod
    def parse(cls, line: bytes) -> "Credentials":
        """Read the worker's line: `{"secret": hex, "realm": text, "service": "host:port" or "", "settings": {}}`.

        Raises:
            MiniSparkError: it is something else; the text does not show it, because of the secret.
        """
        try:
            said = json.loads(line)
            service = said["service"]
            secret, realm = bytes.fromhex(said["secret"]), str(said["realm"])
            settings = {str(key): str(text) for key, text in dict(said.get("settings", {})).items()}
            return cls(secret, realm, RpcAddress.parse(service) if service else None, settings)
        except (ValueError, KeyError, TypeError):
            raise MiniSparkError("the worker's line on the lifeline is malformed") from None


class Lifeline:
    """One end of the lifeline.

    Args:
        fd: the inherited descriptor, which is the lifeline's from now on; no child gets it.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.loop: asyncio.AbstractEventLoop | None = None
        self.gone: Callable[[], object] | None = None

    def credentials(self) -> Credentials:
        """Wait for the worker's line; blocks, because there is nothing to do without it.

        Raises:
            MiniSparkError: the worker is gone, or says something else.
        """
        line = b""
        try:
            os.set_inheritable(self.fd, False)
            while not line.endswith(b"\n"):
                piece = os.read(self.fd, MAX_LINE)
                line += piece
                if not piece or len(line) > MAX_LINE:
                    raise MiniSparkError("the worker went away, or says too much, before the executor could start")
        except OSError as error:
            raise MiniSparkError(f"the lifeline, descriptor {self.fd}, cannot be read: {error}") from None
        return Credentials.parse(line)

    def watch(self, loop: asyncio.AbstractEventLoop, gone: Callable[[], object]) -> None:
        """Have a function called, once, when the worker is gone."""
        self.loop, self.gone = loop, gone
        os.set_blocking(self.fd, False)
        loop.add_reader(self.fd, self.on_readable)

    def say_ready(self) -> None:
        """Tell the worker that tasks can run here; whatever it says, the end of the line says more."""
        with contextlib.suppress(OSError):
            os.write(self.fd, READY)

    def on_readable(self) -> None:
        """Notice the end; the worker has no more to say, so whatever it says is passed over."""
        try:
            piece = os.read(self.fd, MAX_LINE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            gone = self.gone
            self.close()
            assert gone is not None
            gone()

    def close(self) -> None:
        """Watch no more."""
        if self.loop is not None:
            self.loop.remove_reader(self.fd)
            os.close(self.fd)
            self.loop = None
