"""One executor's blocks, spoken to as its runners do, for the tests of both halves of that machine."""

from itertools import count
from typing import Any

from minispark.ids import RddId, TaskId, rdd_block_id
from minispark.messages.runner_blocks import BlockPlan, NeedBlock, WriteBlock
from minispark.messages.storage_level import StorageLevel
from minispark.storage.logic.block_effects import Answer, Asker, Paths
from minispark.storage.logic.node_blocks import NodeBlocks

MIB = 1 << 20
A, B = RddId(1), RddId(2)
MEMORY, DISK = StorageLevel.MEMORY_ONLY_SER, StorageLevel.DISK_ONLY
MEMORY_AND_DISK, LIVE = StorageLevel.MEMORY_AND_DISK_SER, StorageLevel.MEMORY_ONLY


class Node:
    """One executor's blocks, spoken to as its runners do; task n runs in slot n."""

    def __init__(self, max_bytes: int = 100 * MIB, has_peers: bool = False) -> None:
        numbers = count()
        paths = Paths(
            lambda block, size: f"/shm/{block}.{next(numbers)}", lambda block: f"/disk/{block}.{next(numbers)}"
        )
        self.blocks = NodeBlocks(max_bytes, paths, lambda: has_peers)
        self.plans: dict[int, BlockPlan] = {}
        self.asks = count()
        self.effects: list[Any] = []

    def ask(self, task: int, request: Any) -> BlockPlan | None:
        """Return the answer; None if the task has to wait for it."""
        number = next(self.asks)
        self.blocks.asked(Asker(task, TaskId(task), number), request)
        self.settle()
        return self.plans.get(number)

    def settle(self) -> None:
        for effect in self.blocks.take_effects():
            if isinstance(effect, Answer):
                assert effect.asker.ask_id not in self.plans
                self.plans[effect.asker.ask_id] = effect.plan
            self.effects.append(effect)
        self.blocks.check()

    def need(
        self, task: int, partition: int = 0, rdd: RddId = A, level: StorageLevel = MEMORY, **more: Any
    ) -> BlockPlan | None:
        return self.ask(task, NeedBlock(rdd, partition, level, more.pop("generation", 1), **more))

    def finish(
        self, task: int, partition: int = 0, rdd: RddId = A, size: int = MIB, live: int = 0, **more: Any
    ) -> Any:
        return self.ask(task, WriteBlock(rdd_block_id(rdd, partition), size, live, True, **more))

    def store(self, task: int, partition: int = 0, rdd: RddId = A, level: StorageLevel = MEMORY, **more: Any) -> Any:
        """Have a task compute a block; return the last answer, after moving what it was told to."""
        plan = self.need(task, partition, rdd, level)
        assert plan is not None
        assert plan.action == "write"
        plan = self.finish(task, partition, rdd, **more)
        while plan.action in ("move", "write"):
            plan = self.finish(task, partition, rdd, **more, moved=tuple(move.block_id for move in plan.moves))
        self.end(task)
        return plan

    def end(self, task: int, succeeded: bool = True) -> None:
        self.blocks.task_ended(TaskId(task), succeeded)
        self.settle()

    def seen(self, kind: type) -> list[Any]:
        return [effect for effect in self.effects if isinstance(effect, kind)]
