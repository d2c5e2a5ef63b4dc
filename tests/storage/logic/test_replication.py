import pytest

from minispark.ids import RddId, rdd_block_id
from minispark.storage.logic.replication import next_peer
from minispark.testing.builders import location

PEERS = [location(str(number), f"host-{number % 3}") for number in range(6)]
BLOCK = rdd_block_id(RddId(1), 0)


@pytest.mark.scenario("HIS-005", "BlockReplicationPolicy")
def test_a_copy_goes_to_another_host_if_there_is_one_and_never_where_one_is() -> None:
    for holder in PEERS:
        peer = next_peer(BLOCK, [holder], PEERS)
        assert peer is not None
        assert peer.host != holder.host

    assert next_peer(BLOCK, PEERS[:5], PEERS) == PEERS[5]
    assert next_peer(BLOCK, PEERS, PEERS) is None


def test_the_copies_of_many_blocks_are_spread_and_the_same_each_time() -> None:
    chosen = [next_peer(rdd_block_id(RddId(1), number), PEERS[:1], PEERS) for number in range(100)]

    assert chosen == [next_peer(rdd_block_id(RddId(1), number), PEERS[:1], PEERS) for number in range(100)]
    assert len({peer.executor_id for peer in chosen if peer is not None}) == 4
