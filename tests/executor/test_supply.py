"""A Supply beside a driver on a network in memory."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from minispark.conf import SparkConf
from minispark.executor.supply import SUPPLY, Supply
from minispark.ids import BroadcastId, ExecutorId, TaskId
from minispark.messages.distribution import AddedFile, FileSet, GetFiles, RemoveBroadcast
from minispark.messages.endpoints import BROADCAST_MASTER, FILE_MASTER
from minispark.messages.runner import AnswerFailed, BroadcastFile, FilesReady, NeedBroadcast, NeedFiles, RunnerReply
from minispark.messages.task import BlockManagerId
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.env import RpcEnv
from minispark.storage.broadcast_master import BroadcastMaster
from minispark.storage.broadcast_store import SERVICE, BroadcastStore
from minispark.storage.file_root import digest_of
from minispark.testing.memory_network import MemoryNetwork
from minispark.testing.virtual_loop import VirtualWorld, run_virtual, settle

SECRET = b"the secret of an application"
ID = BroadcastId(3)


class Files(RpcEndpoint):
    """The driver's FileMaster."""

    def __init__(self) -> None:
        self.set = FileSet(0, ())
        self.asks = 0

    def receive(self, message: GetFiles, context: CallContext) -> None:
        self.asks += 1
        context.reply(self.set)


class Scene:
    """A driver with a broadcast and files, and an executor's Supply."""

    def __init__(self, folder: Path) -> None:
        network, conf = MemoryNetwork(), SparkConf(environment={})
        for name in ("driver", "executor"):
            (folder / name / "blocks").mkdir(parents=True)
        self.folder, self.conf = folder, conf
        self.driver = RpcEnv("driver", VirtualWorld(1, network), conf, secret=SECRET)
        self.executor = RpcEnv("executor", VirtualWorld(2, network), conf, secret=SECRET)
        self.files = Files()
        self.forgotten: list[tuple[BroadcastId, ...]] = []
        self.answers: list[RunnerReply | AnswerFailed] = []

    async def start(self) -> None:
        address = await self.driver.listen("127.0.0.1", 7000)
        here = await self.executor.listen("127.0.0.1", 7001)
        store = BroadcastStore(str(self.folder / "driver"), self.driver.world)
        Path(store.path_of(ID)).write_bytes(b"content")
        store.add(ID, 7, 3)
        location = BlockManagerId(ExecutorId("driver"), address.host, address.port, store.directory)
        self.driver.setup_endpoint(
            BROADCAST_MASTER, BroadcastMaster(store, location, self.driver.world, self.driver.scope)
        )
        self.driver.bulk.serve(SERVICE, store.serve)
        self.driver.setup_endpoint(FILE_MASTER, self.files)
        own = BlockManagerId(ExecutorId("1"), here.host, here.port, str(self.folder / "executor"))
        self.supply = Supply(self.executor, address, own, self.conf, self.forgotten.append)
        self.executor.setup_endpoint(SUPPLY, self.supply)

    def ask(self, request: NeedBroadcast | NeedFiles) -> None:
        self.supply.asked(TaskId(1), request, self.answers.append)

    def add(self, path: Path, version: int) -> None:
        uri = self.driver.files.add_content(digest_of(path), path)
        file = AddedFile("py", path.name, digest_of(path), path.stat().st_size, uri)
        self.files.set = FileSet(version, (*self.files.set.files, file))


def with_scene(folder: Path, scenario: Callable[[Scene], Awaitable[None]]) -> None:
    async def run() -> None:
        scene = Scene(folder)
        await scene.start()
        await scenario(scene)
        await scene.executor.close()
        await scene.driver.close()

    run_virtual(run())


async def answered(scene: Scene, count: int) -> list[RunnerReply | AnswerFailed]:
    """Wait until so many answers are here."""
    while len(scene.answers) < count:
        await scene.executor.world.sleep(0.01)
    return scene.answers


def test_many_tasks_that_need_a_broadcast_have_it_fetched_once(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        for _ in range(3):
            scene.ask(NeedBroadcast(ID))
        assert len(scene.supply.waiting) == 1

        path = scene.supply.store.path_of(ID)
        assert await answered(scene, 3) == [BroadcastFile(path)] * 3
        assert Path(path).read_bytes() == b"content"
        scene.ask(NeedBroadcast(ID))
        assert scene.answers[3] == BroadcastFile(path)

    with_scene(tmp_path, scenario)


def test_a_broadcast_that_goes_is_removed_and_forgotten_by_the_runners(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.ask(NeedBroadcast(ID))
        await answered(scene, 1)

        scene.supply.self_ref.send(RemoveBroadcast(ID))
        await settle()

        assert scene.forgotten == [(ID,)]
        assert list((tmp_path / "executor" / "blocks").iterdir()) == []

    with_scene(tmp_path, scenario)


def test_a_broadcast_that_goes_while_it_is_fetched_is_removed_when_it_has_come(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.ask(NeedBroadcast(ID))
        scene.supply.self_ref.send(RemoveBroadcast(ID))

        await answered(scene, 1)

        assert scene.forgotten == [(ID,)]
        assert list((tmp_path / "executor" / "blocks").iterdir()) == []
        scene.ask(NeedBroadcast(ID))
        assert isinstance((await answered(scene, 2))[1], BroadcastFile)

    with_scene(tmp_path, scenario)


def test_what_cannot_be_had_is_an_answer_that_says_why(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.ask(NeedBroadcast(BroadcastId(99)))
        (answer,) = await answered(scene, 1)
        assert isinstance(answer, AnswerFailed)
        assert "broadcast 99 is gone" in answer.error

    with_scene(tmp_path, scenario)


def test_files_are_fetched_once_each_also_those_that_are_added_later(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        for version, name in ((1, "one.py"), (2, "two.py")):
            (tmp_path / name).write_text(name)
            scene.add(tmp_path / name, version)
            scene.ask(NeedFiles(version))
            scene.ask(NeedFiles(version))
            await answered(scene, 2 * version)
        (tmp_path / "one.py").unlink()
        scene.ask(NeedFiles(1))

        root = tmp_path / "executor" / "files"
        assert scene.answers[-1] == FilesReady(2, str(root), (str(root),))
        assert [(root / name).read_text() for name in ("one.py", "two.py")] == ["one.py", "two.py"]
        assert scene.files.asks == 2

    with_scene(tmp_path, scenario)


def test_a_file_that_changed_after_it_was_added_is_refused(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        (tmp_path / "one.py").write_text("one")
        scene.add(tmp_path / "one.py", 1)
        (tmp_path / "one.py").write_text("two")
        scene.ask(NeedFiles(1))

        (answer,) = await answered(scene, 1)
        assert isinstance(answer, AnswerFailed)
        assert "one.py has changed in the driver since it was added" in answer.error

    with_scene(tmp_path, scenario)
