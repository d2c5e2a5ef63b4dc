import os
import zlib
from pathlib import Path

from minispark.ids import ExecutorId, TaskId
from minispark.messages.transfer import FetchMapOutputs, MapOutputsHead
from minispark.rpc.bulk import BulkChannel
from minispark.shuffle.serving import SMALL_BYTES, Segment, grouped
from minispark.storage.transfer import address_of, expect
from tests.shuffle.hosts import Hosts, with_hosts
from tests.shuffle.outputs import SHUFFLE

SMALL = [("a", 1)]
LARGE = [("a", os.urandom(2 * SMALL_BYTES))]


async def request(
    hosts: Hosts, channel: BulkChannel, map_ids: tuple[TaskId, ...], executor: str = "1"
) -> MapOutputsHead:
    """Send a request and return the head of its answer."""
    await channel.send(FetchMapOutputs(ExecutorId(executor), SHUFFLE, 0, map_ids))
    return await expect(channel, MapOutputsHead)


def test_small_and_large_blocks_follow_their_head_in_order(tmp_path: Path) -> None:
    async def scenario(hosts: Hosts) -> None:
        hosts.exchange.write_all(SMALL, LARGE, SMALL, SMALL)
        async with hosts.data.transfer.channel(address_of(hosts.location)) as channel:
            head = await request(hosts, channel, tuple(hosts.map_ids()))
            content = b"".join([bytes(piece) async for piece in channel.receive_data()])

        assert head.problems == ("",) * 4
        assert head.directory_is_there
        start = 0
        for size, checksum in zip(head.sizes, head.checksums, strict=True):
            assert zlib.crc32(content[start : start + size]) == checksum
            start += size
        assert start == len(content)

    with_hosts(tmp_path, scenario)


def test_one_missing_output_keeps_all_of_a_request_back_but_not_the_next(tmp_path: Path) -> None:
    async def scenario(hosts: Hosts) -> None:
        hosts.exchange.write_all(SMALL)
        (there,) = hosts.map_ids()
        async with hosts.data.transfer.channel(address_of(hosts.location)) as channel:
            head = await request(hosts, channel, (there, TaskId(999)))
            assert head.problems[0] == ""
            assert "No such file" in head.problems[1]

            head = await request(hosts, channel, (there,))
            assert head.problems == ("",)
            assert [len(piece) async for piece in channel.receive_data()] == list(head.sizes)

    with_hosts(tmp_path, scenario)


def test_another_executors_outputs_are_not_served(tmp_path: Path) -> None:
    async def scenario(hosts: Hosts) -> None:
        hosts.exchange.write_all(SMALL)
        async with hosts.data.transfer.channel(address_of(hosts.location)) as channel:
            head = await request(hosts, channel, tuple(hosts.map_ids()), executor="../1")

        assert head.problems == ("the files of executor ../1 are not served here",)
        assert not head.directory_is_there

    with_hosts(tmp_path, scenario)


def test_small_blocks_are_sent_together_and_large_ones_alone() -> None:
    sizes = (10, 20, SMALL_BYTES + 1, 30, SMALL_BYTES + 1, SMALL_BYTES + 1)

    groups = list(grouped([Segment("", 0, size, 0) for size in sizes]))

    found = [[one.size for one in group] if isinstance(group, list) else group.size for group in groups]
    assert found == [[10, 20], sizes[2], [30], sizes[4], sizes[5]]
