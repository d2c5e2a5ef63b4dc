"""The endpoint that says which endpoints exist."""

import pytest

from minispark.errors import RpcError
from minispark.rpc.verifier import VERIFIER, CheckExistence, EndpointVerifier, Existence
from minispark.testing.fakes import RecordingContext
from tests.rpc.peers import Note, Peers, Probe, with_peers


def test_it_answers_whether_an_endpoint_exists() -> None:
    context = RecordingContext()
    verifier = EndpointVerifier({"a"}.__contains__)

    verifier.receive(CheckExistence("a"), context)
    verifier.receive(CheckExistence("b"), context)

    assert context.replies == [Existence(True), Existence(False)]


def test_it_does_not_understand_anything_else() -> None:
    with pytest.raises(RpcError, match="does not implement receive; got Note"):
        EndpointVerifier(lambda name: True).receive(Note("x"), RecordingContext())


def test_a_stopped_endpoint_exists_no_more() -> None:
    async def scenario(peers: Peers) -> None:
        verifier = peers.client.bind(VERIFIER, peers.address)
        extra = peers.server.setup_endpoint("extra", Probe())
        assert await verifier.ask(CheckExistence("extra")) == Existence(True)
        peers.server.stop(extra)
        assert await verifier.ask(CheckExistence("extra")) == Existence(False)

    with_peers(scenario)
