from collections.abc import Awaitable, Callable
from pathlib import Path

from minispark.ids import BlockId, ExecutorId
from minispark.messages.task import BlockManagerId, DirectResult, IndirectResult
from minispark.storage.result_fetcher import ResultFetcher
from minispark.storage.transfer import BlockFiles, BlockService, OwnDirectory
from tests.rpc.peers import Peers, with_peers

CONTENT = b"abcde"


class Executor:
    """An executor process that left a result, and the driver that fetches it; not on one host unless said."""

    def __init__(self, path: Path, peers: Peers) -> None:
        self.blocks = path / "session" / "blocks"
        self.blocks.mkdir(parents=True)
        self.file = self.blocks / "taskresult_7"
        self.file.write_bytes(CONTENT)
        self.result = IndirectResult(BlockId("taskresult_7"), len(CONTENT), True, str(self.file), (3, 2))
        self.peers = peers
        self.location = BlockManagerId(
            ExecutorId("1"), peers.address.host, peers.address.port, str(self.blocks.parent)
        )
        BlockFiles(peers.server.world, OwnDirectory(self.location)).add_to(BlockService(peers.server))
        self.known = {self.location.directory: self.location}
        self.fetcher = ResultFetcher(peers.client, self.known.get)

    def be_on_this_host(self) -> None:
        """Let the driver open the session directory."""
        (self.blocks.parent / "token").touch()


def with_executor(path: Path, scenario: Callable[[Executor], Awaitable[None]]) -> None:
    async def main(peers: Peers) -> None:
        await scenario(Executor(path, peers))

    with_peers(main)


def test_a_result_on_this_host_is_read_from_its_file(tmp_path: Path) -> None:
    async def scenario(executor: Executor) -> None:
        executor.be_on_this_host()
        executor.known.clear()

        result = await executor.fetcher.read(executor.result)

        assert isinstance(result, DirectResult)
        assert [bytes(batch) for batch in result.batches] == [b"abc", b"de"]
        assert not executor.file.exists()

    with_executor(tmp_path, scenario)


def test_a_result_on_another_host_is_fetched_and_removed_there(tmp_path: Path) -> None:
    async def scenario(executor: Executor) -> None:
        result = await executor.fetcher.read(executor.result)

        assert isinstance(result, DirectResult)
        assert [bytes(batch) for batch in result.batches] == [b"abc", b"de"]
        assert not executor.file.exists()

    with_executor(tmp_path, scenario)


def test_a_result_of_an_executor_that_is_gone_is_lost(tmp_path: Path) -> None:
    async def scenario(executor: Executor) -> None:
        await executor.peers.server.close()
        assert await executor.fetcher.read(executor.result) is None

        executor.known.clear()
        assert await executor.fetcher.read(executor.result) is None

    with_executor(tmp_path, scenario)


def test_a_result_that_is_not_there_as_it_was_told_is_lost(tmp_path: Path) -> None:
    async def scenario(executor: Executor) -> None:
        executor.file.write_bytes(b"abcdefgh")
        assert await executor.fetcher.read(executor.result) is None, "more than was announced"
        executor.file.write_bytes(b"abcd")
        assert await executor.fetcher.read(executor.result) is None
        executor.file.unlink(missing_ok=True)
        assert await executor.fetcher.read(executor.result) is None

    with_executor(tmp_path, scenario)


def test_a_result_that_nobody_wants_is_removed_unread(tmp_path: Path) -> None:
    async def scenario(executor: Executor) -> None:
        await executor.fetcher.drop(executor.result)

        assert not executor.file.exists()

    with_executor(tmp_path, scenario)


def test_a_result_that_was_dropped_for_its_size_is_not_looked_for(tmp_path: Path) -> None:
    async def scenario(executor: Executor) -> None:
        dropped = IndirectResult(BlockId("taskresult_8"), 1 << 40, True, "", ())

        assert await executor.fetcher.read(dropped) is None
        await executor.fetcher.drop(dropped)

    with_executor(tmp_path, scenario)
