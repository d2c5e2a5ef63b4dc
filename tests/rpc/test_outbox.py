"""Lines to peers."""

import pytest

from minispark.errors import RpcError
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.outbox import DialledLine
from tests.rpc.peers import Note, Peers, Question, settle, with_peers


def test_the_first_message_makes_the_connection_and_the_others_use_it() -> None:
    async def scenario(peers: Peers) -> None:
        assert not peers.client.network.outboxes
        peers.ref.send(Note("first"))
        line = peers.client.network.outboxes[peers.address]
        assert line.outbox.state.value == "connecting"
        await peers.ref.ask(Question("second"))
        peers.client.bind("probe", peers.address).send(Note("third"))
        await settle()
        assert line.outbox.state.value == "up"
        assert len(peers.server.network.connections) == 1
        line.outbox.check()

    with_peers(scenario)


def test_a_failed_line_drops_what_waited_and_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(peers: Peers) -> None:
        nowhere = RpcAddress("127.0.0.1", 9)
        ref = peers.client.bind("probe", nowhere)
        ref.send(Note("a"))
        ref.send(Note("b"))
        line = peers.client.network.outboxes[nowhere]
        await settle()
        assert line.down
        assert nowhere not in peers.client.network.outboxes
        with pytest.raises(RpcError, match=r"line to .* is down"):
            line.post((b"x", []))

    with_peers(scenario)
    assert "2 messages to minispark://127.0.0.1:9 dropped" in caplog.text


def test_a_line_is_known_by_the_address_it_goes_to() -> None:
    async def scenario(peers: Peers) -> None:
        assert DialledLine(peers.client.network, peers.address).peer == str(peers.address)

    with_peers(scenario)
