import pickle
from typing import Any

from minispark.ids import BroadcastId
from minispark.rdd import broadcast
from minispark.rdd.broadcast import make_broadcast
from minispark.testing.sim_values import RunnerValues


class Home:
    """A driver that never removes a broadcast."""

    closed = False

    async def unpersist_broadcast(self, broadcast_id: BroadcastId) -> None: ...

    async def destroy_broadcast(self, broadcast_id: BroadcastId, destroyed: str) -> None: ...

    def drop_broadcast(self, broadcast_id: BroadcastId) -> None: ...


def test_a_task_has_a_value_of_its_runner_and_not_the_object_of_the_driver() -> None:
    made = make_broadcast(broadcast.new_id(), ["the driver's"], Home())
    pickled, runner, usual = pickle.dumps(made), RunnerValues(), broadcast.values
    runner.found[made.broadcast_id] = ["the runner's"]

    def read() -> Any:
        return pickle.loads(pickled).value

    with runner.in_place():
        assert read() == ["the runner's"]
    assert read() is made.value
    assert broadcast.values is usual
