"""What asks cost: round trips over TCP and a Unix socket, many at a time, and 1 MiB attachments there and back.

By hand: an asyncio protocol that echoes frames. Server and client share a loop, for both.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable

from benchmarks import hand_echo
from benchmarks.harness import Better, Result, compare
from minispark.conf import SparkConf
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.env import RpcEnv
from minispark.rpc.message import Ask, Attachment, Message, message
from minispark.rpc.ref import RpcEndpointRef
from minispark.rpc.world import SystemWorld

__all__ = ["run"]

SMALL = b"x" * 100
LARGE = b"x" * (1 << 20)
SECRET = b"benchmark-secret"
ASKS = 2000
AT_A_TIME = 100
LARGE_ASKS = 100
QUICK_DIVISOR = 20

Asker = Callable[[bytes], Awaitable[object]]


@message(31901)
class Echoed(Message):
    """The answer: what was said."""

    data: Attachment


@message(31902)
class Echo(Ask[Echoed]):
    """Say it again."""

    data: Attachment


class EchoEndpoint(RpcEndpoint):
    """Says again what it is told."""

    def receive(self, message: Echo, context: CallContext) -> None:
        """Answer."""
        context.reply(Echoed(message.data))


def through(ref: RpcEndpointRef) -> Asker:
    """Return what asks an endpoint."""
    return lambda data: ref.ask(Echo(data))


async def round_trip_us(ask: Asker, count: int) -> float:
    """Ask one after another; return the µs of one."""
    start = time.perf_counter()
    for _ in range(count):
        await ask(SMALL)
    return (time.perf_counter() - start) / count * 1e6


async def asks_per_s(ask: Asker, count: int) -> float:
    """Ask many at a time; return how many a second."""
    start = time.perf_counter()
    for _ in range(max(1, count // AT_A_TIME)):
        await asyncio.gather(*(ask(SMALL) for _ in range(AT_A_TIME)))
    return count / (time.perf_counter() - start)


async def mb_per_s(ask: Asker, count: int) -> float:
    """Send 1 MiB there and back, four at a time; return the MB a second, one way."""
    start = time.perf_counter()
    for _ in range(max(1, count // 4)):
        await asyncio.gather(*(ask(LARGE) for _ in range(4)))
    return max(1, count // 4) * 4 * len(LARGE) / 1e6 / (time.perf_counter() - start)


async def compare_transport(unix_path: str, quick: bool) -> dict[str, Result]:
    """Compare all three figures over one transport."""
    divisor = QUICK_DIVISOR if quick else 1
    world, conf = SystemWorld(), SparkConf(environment={})
    server, client = (RpcEnv(name, world, conf, secret=SECRET) for name in ("server", "client"))
    hand_server = await hand_echo.serve(unix_path and unix_path + "-hand")
    hand_client = await hand_echo.connect(hand_server, unix_path and unix_path + "-hand")
    server.setup_endpoint("Echo", EchoEndpoint())
    try:
        address = await server.listen(unix_path or "127.0.0.1")
        asks = (through(await client.lookup(address, "Echo")), hand_client.ask)
        results = {
            "ask": await compare_asks("us", "lower", round_trip_us, asks, ASKS // divisor, quick),
            "messages": await compare_asks("asks/s", "higher", asks_per_s, asks, 5 * ASKS // divisor, quick),
            "attachments": await compare_asks("MB/s", "higher", mb_per_s, asks, LARGE_ASKS // divisor, quick),
        }
    finally:
        await client.close()
        await server.close()
        hand_client.transport.close()
        hand_server.close()
    return results


async def compare_asks(
    unit: str,
    better: Better,
    measure_asks: Callable[[Asker, int], Awaitable[float]],
    asks: tuple[Asker, Asker],
    count: int,
    quick: bool,
) -> Result:
    """Compare one figure."""
    return await compare(
        "rpc", unit, better, quick=quick,
        ours=lambda: measure_asks(asks[0], count), by_hand=lambda: measure_asks(asks[1], count),
    )  # fmt: skip


async def measure(quick: bool) -> Result:
    """Compare over both transports; the result is that of a round trip over TCP."""
    with tempfile.TemporaryDirectory(prefix="rpc-") as folder:
        by_transport = {
            "tcp": await compare_transport("", quick),
            "unix": await compare_transport(f"{folder}/echo", quick),
        }
    result = by_transport["tcp"]["ask"]
    for transport, results in by_transport.items():
        for name, other in results.items():
            key = f"{transport}_{name}_{other.unit.replace('/', '_per_').lower()}"
            result.details[key] = other.value
            result.details[f"{key}_by_hand"] = other.limit
            result.details[f"{key}_ratio"] = other.ratio
    # A protocol of asyncio is the fastest form on this loop.
    return result


def run(quick: bool = False) -> Result:
    """Measure."""
    return asyncio.run(measure(quick))
