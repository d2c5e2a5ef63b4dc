import pytest

from minispark.ids import ExecutorId, ShuffleId
from minispark.messages.scheduler import ReviveOffers, ShuffleForgotten
from minispark.rpc.endpoint import CallContext, RpcEndpoint
from minispark.rpc.message import Message
from minispark.testing.stepped_world import SteppedScope, SteppedWorld


class Recorder(RpcEndpoint):
    """Writes down what it gets, and raises on request."""

    def __init__(self, seen: list[tuple[str, Message]], name: str) -> None:
        self.seen = seen
        self.name = name
        self.errors: list[BaseException] = []

    def receive(self, message: Message, context: CallContext) -> None:
        self.seen.append((self.name, message))
        if isinstance(message, ReviveOffers):
            raise ValueError("no offers here")

    def on_error(self, error: BaseException) -> None:
        self.errors.append(error)


def shuffles(count: int) -> list[ShuffleForgotten]:
    return [ShuffleForgotten(ShuffleId(number)) for number in range(count)]


def test_messages_are_handled_in_the_order_in_which_they_were_sent_before_any_timer() -> None:
    world, seen = SteppedWorld(), list[tuple[str, Message]]()
    first, second = (world.register(name, Recorder(seen, name)) for name in ("first", "second"))
    fired: list[float] = []
    world.call_later(0.0, lambda: fired.append(len(seen)))
    one, two, three = shuffles(3)
    first.send(one)
    second.send(two)
    first.send(three)
    world.run()
    assert seen == [("first", one), ("second", two), ("first", three)]
    assert fired == [3]


def test_a_shuffled_world_keeps_the_order_of_each_mailbox_only() -> None:
    orders = set()
    for seed in range(20):
        world, seen = SteppedWorld(seed, shuffled=True), list[tuple[str, Message]]()
        refs = [world.register(name, Recorder(seen, name)) for name in ("first", "second")]
        for message in shuffles(4):
            refs[message.shuffle_id % 2].send(message)
        world.run()
        for name in ("first", "second"):
            mine = [m.shuffle_id for who, m in seen if who == name and isinstance(m, ShuffleForgotten)]
            assert mine == sorted(mine)
        orders.add(tuple(name for name, _ in seen))
    assert len(orders) > 2


def test_time_jumps_to_the_next_timer_and_stops_where_it_shall() -> None:
    world, fired = SteppedWorld(), list[float]()
    for delay_s in (5.0, 1.0, 30.0):
        world.call_later(delay_s, lambda: fired.append(world.monotonic()))
    world.run(until_s=10.0)
    assert (fired, world.now) == ([1.0, 5.0], 10.0)
    world.run()
    assert (fired, world.now) == ([1.0, 5.0, 30.0], 30.0)
    assert not world.step()


def test_a_cancelled_timer_is_not_called() -> None:
    world, fired = SteppedWorld(), list[int]()
    timer = world.call_later(1.0, fired.append, 1)
    world.call_later(2.0, fired.append, 2)
    timer.cancel()
    world.run()
    assert timer.cancelled()
    assert fired == [2]


def test_what_an_endpoint_raises_goes_to_its_on_error() -> None:
    world = SteppedWorld()
    endpoint = Recorder([], "failing")
    world.register("failing", endpoint).send(ReviveOffers())
    world.run()
    assert [str(error) for error in endpoint.errors] == ["no offers here"]


def test_an_observer_sees_each_message_before_its_endpoint() -> None:
    world, seen = SteppedWorld(), list[tuple[str, Message]]()
    ref = world.register("one", Recorder(seen, "one"))
    before: list[tuple[str, int]] = []
    world.observer = lambda name, message: before.append((name, len(seen)))
    for message in shuffles(2):
        ref.send(message)
    world.run()
    assert before == [("one", 0), ("one", 1)]


def test_the_scope_runs_what_waits_for_nothing_and_refuses_the_rest() -> None:
    scope, world = SteppedScope("test"), SteppedWorld()

    async def immediate() -> ExecutorId:
        return ExecutorId("here")

    assert scope.spawn(immediate(), name="immediate") == "here"
    with pytest.raises(RuntimeError, match="waits for something"):
        scope.spawn(VirtualSleep(), name="sleeping")  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError, match="cannot be asked"):
        world.register("one", Recorder([], "one")).ask(ReviveOffers())  # type: ignore[arg-type]


class VirtualSleep:
    """A coroutine that waits."""

    def send(self, value: object) -> None:
        """Wait, whatever comes."""

    def close(self) -> None:
        """End."""
