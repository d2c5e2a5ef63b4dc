import pickle

import pytest

from minispark.ids import ExecutorId, RddId, TaskId, partition_of_block, rdd_block_id, task_result_block_id
from minispark.messages.storage_level import StorageLevel
from minispark.messages.task import BlockManagerId
from minispark.rpc.message import Message

LOCATION = BlockManagerId(ExecutorId("3"), "host", 7077, "/tmp/session")
OTHERS = [
    StorageLevel(True, True, deserialized=True, replication=3),
    StorageLevel(False, True),
    BlockManagerId(ExecutorId("4"), "host", 7077, "/tmp/session"),
    BlockManagerId(ExecutorId("3"), "host", 7078, "/tmp/session"),
]


@pytest.mark.scenario("BLK-001", "storage level / id objects")
@pytest.mark.parametrize("value", [StorageLevel(True, True, False, True, 2), LOCATION], ids=["level", "location"])
def test_levels_and_ids_are_values_wherever_they_were_made(value: Message) -> None:
    copy = pickle.loads(pickle.dumps(value))

    assert copy == value
    assert hash(copy) == hash(value)
    assert len({value, copy, *OTHERS}) == 1 + len(OTHERS)


@pytest.mark.scenario("BLK-001", "storage level / id objects")
def test_a_block_id_says_which_partition_it_is_and_those_of_other_blocks_do_not() -> None:
    assert partition_of_block(rdd_block_id(RddId(12), 3)) == (12, 3)
    assert partition_of_block(task_result_block_id(TaskId(12))) is None


@pytest.mark.parametrize(
    ("level", "problem"),
    [
        (StorageLevel.NONE, "keeps nothing"),
        (StorageLevel(False, True, replication=40), "on 1 to 39 executors"),
        (StorageLevel(False, True, use_off_heap=True, deserialized=True), "off heap"),
    ],
)
def test_a_level_with_which_nothing_can_be_kept_says_why(level: StorageLevel, problem: str) -> None:
    assert problem in level.problem()
    assert StorageLevel.MEMORY_AND_DISK_2.problem() == ""
