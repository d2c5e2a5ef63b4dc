"""Files by URI."""

from pathlib import Path

import pytest

from minispark.errors import RpcAddressError, RpcError, RpcFileNotFound
from minispark.rpc.file_server import split_uri
from minispark.rpc.logic.address import RpcAddress
from tests.rpc.peers import Peers, with_peers


@pytest.mark.scenario("RPC-013", "files")
@pytest.mark.scenario("RPC-013", "jars")
def test_files_and_archives_are_fetched_by_uri(tmp_path: Path) -> None:
    data, archive = tmp_path / "some data.txt", tmp_path / "package.zip"
    data.write_bytes(b"x" * 3_000_000)
    archive.write_bytes(b"")

    async def scenario(peers: Peers) -> None:
        files = peers.server.files
        uris = [files.add_file(data), files.add_jar(archive)]
        assert uris == [
            "minispark://127.0.0.1:7077/files/some%20data.txt",
            "minispark://127.0.0.1:7077/jars/package.zip",
        ]
        for uri, source in zip(uris, (data, archive), strict=True):
            assert await peers.client.files.fetch(uri, tmp_path / "copy") == source.stat().st_size
            assert (tmp_path / "copy").read_bytes() == source.read_bytes()

    with_peers(scenario)


@pytest.mark.scenario("RPC-013", "directories")
def test_everything_in_a_directory_is_served_and_nothing_outside(tmp_path: Path) -> None:
    (tmp_path / "dir" / "sub").mkdir(parents=True)
    (tmp_path / "dir" / "sub" / "inner").write_text("inner")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "dir" / "link").symlink_to(tmp_path / "secret")

    async def scenario(peers: Peers) -> None:
        base = peers.server.files.add_directory("/classes/", tmp_path / "dir")
        assert base == "minispark://127.0.0.1:7077/classes"
        await peers.client.files.fetch(f"{base}/sub/inner", tmp_path / "copy")
        assert (tmp_path / "copy").read_text() == "inner"
        for path in ("../secret", "%2e%2e/secret", "link", "sub", "sub/other"):
            with pytest.raises(RpcFileNotFound):
                await peers.client.files.fetch(f"{base}/{path}", tmp_path / "stolen")
        assert not (tmp_path / "stolen").exists()

    with_peers(scenario)


@pytest.mark.scenario("RPC-013", "missing file error")
def test_a_file_that_is_not_served_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.write_text("x")

    async def scenario(peers: Peers) -> None:
        uri = peers.server.files.add_file(served)
        for missing in (uri + "-not", uri.replace("/files/", "/jars/"), uri.replace("/files/", "/etc/")):
            with pytest.raises(RpcFileNotFound, match="there is no file /"):
                await peers.client.files.fetch(missing, tmp_path / "copy")
        served.unlink()
        with pytest.raises(RpcFileNotFound):
            await peers.client.files.fetch(uri, tmp_path / "copy")
        assert list(tmp_path.iterdir()) == []

    with_peers(scenario)


@pytest.mark.scenario("RPC-013", "directory uri rules")
@pytest.mark.parametrize("base", ["/files", "files/", "/jars", "/", ""])
def test_a_directory_cannot_take_the_place_of_files_or_jars(base: str, tmp_path: Path) -> None:
    async def scenario(peers: Peers) -> None:
        with pytest.raises(ValueError, match="a directory cannot be served under"):
            peers.server.files.add_directory(base, tmp_path)

    with_peers(scenario)


def test_a_name_or_base_is_served_once(tmp_path: Path) -> None:
    for directory in ("a", "b"):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "same").write_text(directory)

    async def scenario(peers: Peers) -> None:
        files = peers.server.files
        assert files.add_file(tmp_path / "a" / "same") == files.add_file(tmp_path / "a" / "same")
        with pytest.raises(ValueError, match="/files/same is already"):
            files.add_file(tmp_path / "b" / "same")
        files.add_directory("/x", tmp_path / "a")
        with pytest.raises(ValueError, match="/x is already"):
            files.add_directory("/x", tmp_path / "b")

    with_peers(scenario)


def test_what_does_not_exist_cannot_be_served(tmp_path: Path) -> None:
    async def scenario(peers: Peers) -> None:
        with pytest.raises(ValueError, match="there is no file"):
            peers.server.files.add_file(tmp_path / "nothing")
        with pytest.raises(ValueError, match="there is no directory"):
            peers.server.files.add_directory("/x", tmp_path / "nothing")

    with_peers(scenario)


def test_a_removed_file_is_served_no_more(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x")

    async def scenario(peers: Peers) -> None:
        uri = peers.server.files.add_file(tmp_path / "data")
        peers.server.files.remove(uri)
        with pytest.raises(RpcFileNotFound):
            await peers.client.files.fetch(uri, tmp_path / "copy")

    with_peers(scenario)


def test_an_env_that_does_not_listen_serves_nothing(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x")

    async def scenario(peers: Peers) -> None:
        with pytest.raises(RpcError, match="'client' does not listen"):
            peers.client.files.add_file(tmp_path / "data")

    with_peers(scenario)


def test_a_fetch_that_is_cut_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x" * 10_000_000)
    (tmp_path / "copies").mkdir()

    async def scenario(peers: Peers) -> None:
        uri = peers.server.files.add_file(tmp_path / "data")
        peers.network.delay_s = 1.0
        loop = peers.client.loop
        loop.call_later(12.5, peers.network.cut, ConnectionResetError("reset"))
        with pytest.raises(RpcError, match="reset"):
            await peers.client.files.fetch(uri, tmp_path / "copies" / "copy")
        assert list((tmp_path / "copies").iterdir()) == []

    with_peers(scenario, rpc__connectTimeout="60s")


@pytest.mark.parametrize(
    "uri", ["http://h:1/files/x", "minispark://h:1", "minispark://h:1/", "minispark://h/files/x"]
)
def test_other_uris_are_refused(uri: str) -> None:
    with pytest.raises(RpcAddressError):
        split_uri(uri)


def test_a_uri_is_an_address_and_a_path() -> None:
    assert split_uri("minispark://[::1]:7/files/a%20b") == (RpcAddress("::1", 7), "/files/a b")
