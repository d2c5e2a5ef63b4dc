import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from minispark.executor.logic.slots import KILL_MARK_TTL_S, KillAction, Slots
from minispark.ids import TaskId


def ready_slots(count: int) -> Slots:
    slots = Slots(count)
    for slot in range(count):
        slots.ready(slot)
    return slots


def run(slots: Slots, number: int, preferred: int | None = None) -> int | None:
    """Launch an attempt that needs no preparation."""
    assert slots.launch(TaskId(number), 0.0) is None
    slot = slots.prepared(TaskId(number), preferred)
    slots.check()
    return slot


def test_the_slot_used_last_is_taken_first() -> None:
    slots = ready_slots(3)
    assert [run(slots, 1), run(slots, 2)] == [2, 1]

    slots.finished(2, TaskId(1))

    assert run(slots, 3) == 2


def test_a_preferred_slot_is_taken_if_it_is_free() -> None:
    slots = ready_slots(3)

    assert run(slots, 1, preferred=0) == 0
    assert run(slots, 2, preferred=0) == 2


def test_an_attempt_waits_for_a_slot_in_the_order_of_preparation() -> None:
    slots = ready_slots(1)
    assert [run(slots, number) for number in (1, 2, 3)] == [0, None, None]

    assert slots.finished(0, TaskId(1)) == TaskId(2)
    assert slots.finished(0, TaskId(2)) == TaskId(3)
    assert slots.finished(0, TaskId(3)) is None


def test_an_attempt_waits_for_the_first_runner() -> None:
    slots = Slots(1)
    assert run(slots, 1) is None

    assert slots.ready(0) == TaskId(1)


def test_a_lost_runner_frees_its_slot_only_when_it_was_replaced() -> None:
    slots = ready_slots(1)
    run(slots, 1)

    assert slots.lost(0, TaskId(1)) is None
    assert run(slots, 2) is None
    assert slots.ready(0) == TaskId(2)


def test_an_idle_runner_may_be_lost() -> None:
    slots = ready_slots(2)

    slots.lost(1, None)

    assert run(slots, 1) == 0
    assert run(slots, 2) is None


def test_a_kill_of_a_running_attempt_blocks_its_slot_until_it_is_answered() -> None:
    slots = ready_slots(1)
    run(slots, 1)

    assert slots.kill(TaskId(1), True, "why", 0.0) is KillAction.FORWARDED
    assert run(slots, 2) is None
    assert slots.finished(0, TaskId(1)) == TaskId(2)


def test_a_kill_is_forwarded_again_only_if_it_is_stronger() -> None:
    slots = ready_slots(1)
    run(slots, 1)

    actions = [slots.kill(TaskId(1), interrupt, "why", 0.0) for interrupt in (False, False, True, True, False)]

    assert [action is KillAction.FORWARDED for action in actions] == [True, False, True, False, False]
    assert slots.lost(0, TaskId(1)) == "why"


def test_a_kill_of_an_attempt_that_has_not_started_drops_it() -> None:
    slots = ready_slots(1)
    slots.launch(TaskId(1), 0.0)
    run(slots, 2)
    run(slots, 3)
    assert slots.waiting() == [1, 3]

    assert slots.kill(TaskId(1), False, "why", 0.0) is KillAction.DROPPED
    assert slots.kill(TaskId(3), False, "why", 0.0) is KillAction.DROPPED
    assert slots.finished(0, TaskId(2)) is None
    slots.assert_empty()


def test_a_kill_before_the_launch_is_remembered_for_a_while() -> None:
    slots = ready_slots(1)
    slots.kill(TaskId(1), True, "early", 0.0)
    slots.kill(TaskId(2), True, "early", 0.0)

    assert slots.launch(TaskId(1), KILL_MARK_TTL_S - 0.1) == "early"
    assert slots.launch(TaskId(2), KILL_MARK_TTL_S) is None
    assert not slots.marks


def test_a_remembered_kill_is_used_once() -> None:
    slots = ready_slots(1)
    slots.kill(TaskId(1), True, "early", 0.0)

    assert slots.launch(TaskId(1), 1.0) == "early"
    assert slots.launch(TaskId(1), 1.0) is None


def test_an_attempt_that_cannot_be_prepared_is_forgotten() -> None:
    slots = ready_slots(1)
    slots.launch(TaskId(1), 0.0)

    slots.abandon(TaskId(1))

    slots.assert_empty()
    with pytest.raises(AssertionError, match="is not preparing"):
        slots.prepared(TaskId(1))


def test_a_broken_rule_tells_what_happened_last() -> None:
    slots = ready_slots(1)

    with pytest.raises(AssertionError, match=r"does not run in that slot.*\('ready', 0\), \('finished', 0, 5\)"):
        slots.finished(0, TaskId(5))


def test_what_is_left_is_named() -> None:
    slots = ready_slots(1)
    run(slots, 1)
    run(slots, 2)

    with pytest.raises(AssertionError, match=r"attempts are left: \[2, 1\]"):
        slots.assert_empty()


class SlotsMachine(RuleBasedStateMachine):
    """Everything that can happen to an executor's slots, in any order, beside the plainest model of it."""

    SLOTS = 3

    def __init__(self) -> None:
        super().__init__()
        self.slots = Slots(self.SLOTS)
        self.now = 0.0
        self.count = 0
        self.marked: dict[int, float] = {}
        self.preparing: list[int] = []
        self.queue: list[int] = []
        self.running: dict[int, int] = {}
        self.unready = set(range(self.SLOTS))

    def given(self, slot: int, task_id: int | None) -> None:
        """Check what a free slot was given to."""
        assert task_id == (self.queue[0] if self.queue else None)
        if task_id is not None:
            self.running[self.queue.pop(0)] = slot

    @rule(seconds=st.floats(0, 6))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(skip=st.integers(0, 2))
    def launch(self, skip: int) -> None:
        self.count += 1 + skip
        refused = self.slots.launch(TaskId(self.count), self.now)
        expected = self.now < self.marked.pop(self.count, float("-inf"))
        assert (refused is not None) == expected
        if refused is None:
            self.preparing.append(self.count)

    @precondition(lambda self: self.preparing)
    @rule(data=st.data(), preferred=st.none() | st.integers(0, SLOTS - 1))
    def prepared(self, data: st.DataObject, preferred: int | None) -> None:
        task_id = data.draw(st.sampled_from(self.preparing))
        self.preparing.remove(task_id)
        free = set(range(self.SLOTS)) - self.unready - set(self.running.values())
        slot = self.slots.prepared(TaskId(task_id), preferred)
        if slot is None:
            assert not free
            self.queue.append(task_id)
        else:
            assert slot == preferred if preferred in free else slot in free
            self.running[task_id] = slot

    @precondition(lambda self: self.preparing)
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        task_id = data.draw(st.sampled_from(self.preparing))
        self.preparing.remove(task_id)
        self.slots.abandon(TaskId(task_id))

    @precondition(lambda self: self.unready)
    @rule(data=st.data())
    def ready(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(self.unready)))
        self.unready.remove(slot)
        self.given(slot, self.slots.ready(slot))

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def finished(self, data: st.DataObject) -> None:
        task_id = data.draw(st.sampled_from(sorted(self.running)))
        slot = self.running.pop(task_id)
        self.given(slot, self.slots.finished(slot, TaskId(task_id)))

    @precondition(lambda self: len(self.unready) < self.SLOTS)
    @rule(data=st.data())
    def lost(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(set(range(self.SLOTS)) - self.unready)))
        task_id = next((task for task, place in self.running.items() if place == slot), None)
        self.slots.lost(slot, None if task_id is None else TaskId(task_id))
        self.running.pop(-1 if task_id is None else task_id, None)
        self.unready.add(slot)

    @rule(ahead=st.integers(-5, 3), interrupt=st.booleans())
    def kill(self, ahead: int, interrupt: bool) -> None:
        task_id = self.count + ahead
        action = self.slots.kill(TaskId(task_id), interrupt, "why", self.now)
        if task_id in self.running:
            assert action in {KillAction.FORWARDED, KillAction.REPEATED}
        elif task_id in [*self.preparing, *self.queue]:
            assert action is KillAction.DROPPED
            (self.preparing if task_id in self.preparing else self.queue).remove(task_id)
        else:
            assert action is KillAction.REMEMBERED
            self.marked[task_id] = self.now + KILL_MARK_TTL_S

    @invariant()
    def agrees(self) -> None:
        self.slots.check()
        assert self.slots.running == self.running
        assert self.slots.waiting() == [*sorted(self.preparing), *self.queue]


TestSlotsInAnyOrder = SlotsMachine.TestCase
TestSlotsInAnyOrder.settings = settings(max_examples=25, stateful_step_count=40)


def test_while_it_is_paused_attempts_wait_for_those_that_run() -> None:
    slots = ready_slots(3)
    run(slots, 1)
    slots.pause()
    assert [run(slots, 2), run(slots, 3)] == [None, None]

    assert slots.resume() == [(1, TaskId(2)), (0, TaskId(3))]
    slots.check()


def test_while_it_is_paused_one_attempt_may_run() -> None:
    slots = ready_slots(2)
    slots.pause()

    assert run(slots, 1) == 1
    assert run(slots, 2) is None
    assert slots.finished(1, TaskId(1)) == TaskId(2)
    slots.check()


def test_a_runner_at_rest_may_be_retired_and_is_used_no_more() -> None:
    slots = ready_slots(1)

    assert slots.retire(0)
    assert run(slots, 1) is None
    assert slots.lost(0, None) is None
    assert slots.ready(0) == TaskId(1)
    assert not slots.retire(0)
    slots.check()
