"""minispark.executor.partition_migrator: persisted partitions get new homes before their executor is gone."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from minispark.conf import SparkConf
from minispark.executor.partition_migrator import PartitionMigrator
from minispark.ids import BlockId, ExecutorId, RddId, rdd_block_id
from minispark.messages.blocks import BlockFile, BlockLocations, BlockTaken, GetLocations, TakeBlock
from minispark.messages.storage_level import StorageLevel
from minispark.messages.task import BlockManagerId
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.testing.virtual_loop import run_virtual
from tests.rpc.peers import Peers, peers

LEVEL, GENERATION = StorageLevel.MEMORY_ONLY, 3
ONE, TWO = rdd_block_id(RddId(1), 0), rdd_block_id(RddId(1), 1)
HERE, THERE, THIRD = (BlockManagerId(ExecutorId(name), "localhost", 1, "/tmp") for name in "123")


class Manager(RpcEndpoint):
    """Another executor's BlockManager, which answers as it is told."""

    def __init__(self, *answers: BlockTaken) -> None:
        self.answers = list(answers)
        self.asked: list[TakeBlock] = []

    def receive(self, message: Any, context: CallContext) -> None:
        self.asked.append(message)
        context.reply(self.answers.pop(0) if self.answers else BlockTaken(True, False))


class SilentManager(Manager):
    """One whose process stands still."""

    def receive(self, message: Any, context: CallContext) -> None:
        self.asked.append(message)


class Master(RpcEndpoint):
    """Knows who has a block."""

    def __init__(self) -> None:
        self.holders: dict[BlockId, tuple[BlockManagerId, ...]] = {}

    def receive(self, message: Any, context: CallContext) -> None:
        assert isinstance(message, GetLocations)
        holders = self.holders.get(message.block_id, (HERE,))
        context.reply(BlockLocations(holders, (BlockFile("file"),) * len(holders)))


class House:
    """An executor that goes with two blocks, and two that stay."""

    def __init__(self, net: Peers, there: Manager, settings: dict[str, object]) -> None:
        self.blocks = {ONE: (LEVEL, GENERATION), TWO: (LEVEL, GENERATION)}
        self.managers = {THERE: there, THIRD: Manager()}
        self.staying: tuple[BlockManagerId, ...] = (THERE, THIRD)
        self.master = Master()
        refs = {place: net.server.setup_endpoint(place.executor_id, each) for place, each in self.managers.items()}
        conf = SparkConf({f"minispark.storage.decommission.{key}": value for key, value in settings.items()})
        master = net.server.setup_endpoint("master", self.master)
        self.migrator = PartitionMigrator(lambda: self.blocks, self.peers, master, refs.__getitem__, conf)

    async def peers(self) -> tuple[BlockManagerId, ...]:
        return self.staying

    def taken(self) -> list[list[int]]:
        """Return the partitions that each of the others was asked to take."""
        return [[message.partition for message in each.asked] for each in self.managers.values()]


def with_house(
    scenario: Callable[[House], Awaitable[None]], *answers: BlockTaken, settings: dict[str, object] | None = None
) -> None:
    async def main() -> None:
        async with peers() as net:
            await scenario(House(net, Manager(*answers), settings or {}))

    run_virtual(main())


def test_an_executor_that_is_silent_is_asked_once() -> None:
    async def main() -> list[list[int]]:
        async with peers() as net:
            house = House(net, SilentManager(), {})
            house.blocks |= {rdd_block_id(RddId(1), number): (LEVEL, GENERATION) for number in (2, 3)}
            assert await house.migrator.migrate() == 0
            return house.taken()

    assert run_virtual(main()) == [[0], [1, 2, 3, 0]]


@pytest.mark.scenario("BLK-010", "RDD blocks migrated or kept")
def test_partitions_are_spread_over_those_that_stay_as_they_were_persisted() -> None:
    async def scenario(house: House) -> None:
        assert await house.migrator.migrate() == 0
        assert house.taken() == [[0], [1]]
        assert house.managers[THERE].asked == [TakeBlock(RddId(1), 0, LEVEL, GENERATION)]
        house.blocks[rdd_block_id(RddId(2), 5)] = (LEVEL, GENERATION)
        assert await house.migrator.migrate() == 0
        assert house.taken() == [[0, 5], [1]]

    with_house(scenario)


@pytest.mark.scenario("DEC-004", "migration: nothing to do")
@pytest.mark.scenario("DEC-004", "removed block short-circuit")
def test_what_is_not_here_or_elsewhere_already_is_not_asked_for() -> None:
    async def scenario(house: House) -> None:
        house.master.holders[ONE] = (HERE, THIRD)
        kept = dict(house.blocks)
        house.migrator.state.found(kept)
        house.blocks.clear()
        assert await house.migrator.migrate() == 0
        assert house.taken() == [[], []]
        house.blocks.update(kept | {rdd_block_id(RddId(9), 0): (LEVEL, GENERATION)})
        del house.blocks[TWO]
        assert await house.migrator.migrate() == 0
        assert sum(map(len, house.taken())) == 1
        assert list(house.migrator.state.gone) == [TWO]

    with_house(scenario)


@pytest.mark.scenario("BLK-010", "RDD blocks migrated or kept")
@pytest.mark.scenario("DEC-004", "I/O failure retried up to limit")
def test_a_partition_that_fits_nowhere_stays_after_so_many_tries() -> None:
    async def scenario(house: House) -> None:
        house.staying = (THERE,)
        del house.blocks[TWO]
        assert await house.migrator.migrate() == 1
        assert house.taken() == [[0, 0], []]
        assert list(house.migrator.stored()) == [ONE], "it is kept here"

    refused = BlockTaken(False, False)
    with_house(scenario, refused, refused, refused, settings={"maxReplicationFailuresPerBlock": 2})


@pytest.mark.scenario("DEC-004", "target itself decommissioned (44126)")
@pytest.mark.scenario("DEC-004", "no host available (44547)")
def test_a_peer_that_goes_too_is_asked_no_more_and_alone_nobody_takes_anything() -> None:
    async def scenario(house: House) -> None:
        assert await house.migrator.migrate() == 0
        assert house.taken() == [[0], [1, 0]]
        house.blocks[rdd_block_id(RddId(2), 7)] = (LEVEL, GENERATION)
        house.staying = ()
        assert await house.migrator.migrate() == 1

    with_house(scenario, BlockTaken(False, True))


@pytest.mark.scenario("DEC-004", "disabled")
@pytest.mark.parametrize("name", ["enabled", "rddBlocks.enabled"])
def test_nothing_moves_where_it_is_switched_off(name: str) -> None:
    async def scenario(house: House) -> None:
        assert await house.migrator.migrate() == 0
        assert house.taken() == [[], []]

    with_house(scenario, settings={name: False})
