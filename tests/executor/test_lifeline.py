import asyncio
import json
import os
import socket

import pytest

from minispark.errors import MiniSparkError
from minispark.executor.lifeline import Credentials, Lifeline
from minispark.rpc.logic.address import RpcAddress

SAID = {"secret": "00ff", "realm": "app-1", "service": "127.0.0.1:7337"}


def line(**changes: object) -> bytes:
    return json.dumps({**SAID, **changes}).encode() + b"\n"


def lifeline() -> tuple[Lifeline, socket.socket]:
    ours, theirs = socket.socketpair()
    return Lifeline(theirs.detach()), ours


def test_a_line_names_secret_realm_and_service() -> None:
    assert Credentials.parse(line()) == Credentials(b"\0\xff", "app-1", RpcAddress("127.0.0.1", 7337), {})
    assert Credentials.parse(line(service="")).service is None
    assert Credentials.parse(line(settings={"minispark.ssl.keyFile": "k"})).settings == {"minispark.ssl.keyFile": "k"}


@pytest.mark.parametrize(
    "wrong", [b"secret\n", b"{}\n", b"[]\n", line(secret="xyz"), line(secret=7), line(service="x"), line(settings=1)]
)
def test_a_malformed_line_is_refused_without_being_shown(wrong: bytes) -> None:
    with pytest.raises(MiniSparkError, match=r"^the worker's line on the lifeline is malformed$"):
        Credentials.parse(wrong)


def test_a_line_may_come_in_pieces_and_no_child_inherits_the_lifeline() -> None:
    end, worker = lifeline()
    os.set_inheritable(end.fd, True)
    worker.sendall(line())
    with worker:
        assert end.credentials().realm == "app-1"
        assert not os.get_inheritable(end.fd)
    os.close(end.fd)


@pytest.mark.parametrize("said", [b"", b'{"secret"', b"x" * 20_000])
def test_a_worker_that_goes_or_raves_is_not_waited_for(said: bytes) -> None:
    end, worker = lifeline()
    worker.sendall(said)
    worker.close()

    with pytest.raises(MiniSparkError, match="before the executor could start"):
        end.credentials()
    os.close(end.fd)


def test_a_descriptor_that_is_none_is_named() -> None:
    with pytest.raises(MiniSparkError, match="descriptor 999999, cannot be read"):
        Lifeline(999_999).credentials()


@pytest.mark.scenario("WRK-004")
def test_the_end_of_the_worker_is_noticed_once_and_what_it_says_is_not() -> None:
    async def scenario() -> None:
        end, worker = lifeline()
        gone = asyncio.Event()
        end.watch(asyncio.get_running_loop(), gone.set)
        worker.sendall(b"hello")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not gone.is_set()

        worker.close()
        async with asyncio.timeout(60):
            await gone.wait()
        end.close()

    asyncio.run(scenario())


def test_an_executor_says_once_that_it_is_ready_and_a_worker_that_is_gone_is_no_error() -> None:
    end, worker = lifeline()

    end.say_ready()
    said = worker.recv(100)
    worker.close()
    end.say_ready()

    assert said == b"ready\n"
    os.close(end.fd)
