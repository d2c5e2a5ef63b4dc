"""Tests of what is said to and believed of the runner in a slot."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from minispark.executor.logic.runner_slot import Finished, Lost, Ready, Report, Resumed, RunnerSlot, SlotState
from minispark.ids import TaskId
from minispark.messages.task import RunnerLost, TaskKilled, UnknownReason

LOSS = RunnerLost(1, 0, "")
OUTCOME = UnknownReason("ended")
TASK = TaskId(7)


def idle_slot(incarnation: int = 1) -> RunnerSlot:
    slot = RunnerSlot()
    slot.start(incarnation)
    slot.ready(incarnation)
    return slot


def busy_slot() -> RunnerSlot:
    slot = idle_slot()
    assert slot.dispatch(TASK)
    return slot


def test_a_runner_that_is_ready_takes_a_task_and_reports_its_end() -> None:
    slot = RunnerSlot()
    slot.start(1)

    assert slot.ready(1) == Ready()
    assert slot.dispatch(TASK)
    assert slot.finished(1, TASK, OUTCOME) == Finished(TASK, OUTCOME)
    assert slot.state is SlotState.IDLE


def test_what_is_about_another_runner_or_attempt_is_dropped() -> None:
    slot = busy_slot()

    assert slot.ready(2) is None
    assert slot.finished(2, TASK, OUTCOME) is None
    assert slot.finished(1, TaskId(8), OUTCOME) is None
    assert slot.answered(1, TASK) is None
    assert slot.exited(2, LOSS, begun=True) is None
    assert not slot.told(TaskId(8), True, "kill")
    assert slot.state is SlotState.BUSY


def test_an_end_is_reported_once_the_kill_is_answered() -> None:
    slot = busy_slot()
    assert slot.told(TASK, True, "kill")

    assert slot.finished(1, TASK, OUTCOME) is None
    assert slot.state is SlotState.ENDED
    assert slot.answered(1, TASK) == Finished(TASK, OUTCOME)


def test_a_kill_answered_early_reports_the_end_at_once() -> None:
    slot = busy_slot()
    slot.told(TASK, True, "kill")

    assert slot.answered(1, TASK) is None
    assert slot.finished(1, TASK, OUTCOME) == Finished(TASK, OUTCOME)


def test_only_news_is_told_to_the_runner() -> None:
    slot = busy_slot()

    assert slot.told(TASK, False, "please")
    assert not slot.told(TASK, False, "please")
    assert slot.told(TASK, True, "now")
    assert not slot.told(TASK, True, "now")
    assert slot.unanswered == 2


def test_the_second_half_of_the_grace_repeats_the_kill_of_a_running_attempt_only() -> None:
    slot = busy_slot()
    slot.told(TASK, True, "kill")

    kill = slot.repeated(1, TASK)
    assert kill is not None
    assert kill.reason == "kill"
    assert slot.is_unanswered(1, TASK)
    slot.finished(1, TASK, OUTCOME)
    assert slot.repeated(1, TASK) is None


def test_a_kill_that_cost_the_runner_is_reported_with_the_next_runner() -> None:
    slot = busy_slot()
    slot.told(TASK, True, "kill")
    assert slot.grace_over(1, TASK)

    assert slot.exited(1, LOSS, begun=True) is None
    slot.start(2)
    assert slot.ready(2) == Finished(TASK, TaskKilled("kill"))
    slot.check()


def test_an_outcome_that_came_before_the_end_counts() -> None:
    slot = busy_slot()
    assert slot.doom(1)

    assert slot.finished(1, TASK, OUTCOME) is None
    assert slot.exited(1, LOSS, begun=True) is None
    slot.start(2)
    assert slot.ready(2) == Finished(TASK, OUTCOME)


def test_a_runner_that_dies_takes_its_attempt_along() -> None:
    assert busy_slot().exited(1, LOSS, begun=True) == Lost(TASK, LOSS)
    assert idle_slot().exited(1, LOSS, begun=False) == Lost(None, LOSS)


def test_an_attempt_that_was_never_begun_goes_to_the_next_runner_once() -> None:
    slot = busy_slot()

    assert slot.exited(1, LOSS, begun=False) is None
    slot.start(2)
    assert slot.ready(2) == Resumed(TASK)
    assert slot.exited(2, LOSS, begun=False) == Lost(TASK, LOSS)


def test_an_attempt_given_to_a_dying_runner_is_sent_to_the_next() -> None:
    slot = idle_slot()
    slot.doom(1)

    assert not slot.dispatch(TASK)
    assert slot.exited(1, LOSS, begun=False) is None
    slot.start(2)
    assert slot.ready(2) == Resumed(TASK)


def test_an_attempt_killed_before_it_was_sent_ends_with_the_next_runner() -> None:
    slot = idle_slot()
    slot.doom(1)
    slot.dispatch(TASK)

    assert not slot.told(TASK, True, "kill")
    slot.exited(1, LOSS, begun=False)
    slot.start(2)
    assert slot.ready(2) == Finished(TASK, TaskKilled("kill"))


def test_a_runner_that_dies_before_it_is_ready_is_not_reported() -> None:
    slot = RunnerSlot()
    slot.start(1)

    assert slot.exited(1, LOSS, begun=False) is None
    assert slot.state is SlotState.EMPTY


def test_a_slot_given_up_reports_what_it_owes() -> None:
    assert busy_slot().give_up("stop") == Finished(TASK, TaskKilled("stop"))
    assert idle_slot().give_up("stop") is None
    killed = busy_slot()
    killed.told(TASK, True, "kill")
    killed.exited(1, LOSS, begun=True)
    assert killed.give_up("stop") == Finished(TASK, TaskKilled("kill"))


def test_a_second_task_is_refused() -> None:
    slot = busy_slot()

    with pytest.raises(AssertionError, match="dispatch: not with runner 1 BUSY, task 7"):
        slot.dispatch(TaskId(8))


class AnyOrder(RuleBasedStateMachine):
    """Whatever is said in whatever order: the slot's invariants hold, and each attempt ends exactly once."""

    def __init__(self) -> None:
        super().__init__()
        self.slot = RunnerSlot()
        self.running: TaskId | None = None
        self.free = False
        self.last = 0
        self.start()

    @property
    def current(self) -> TaskId:
        return self.slot.task_id or TaskId(0)

    def take(self, report: Report | None) -> None:
        if isinstance(report, Finished | Lost):
            assert report.task_id == self.running
            self.running = None
        if report is not None and not isinstance(report, Resumed):
            self.free = not isinstance(report, Lost)

    @precondition(lambda self: self.slot.state is SlotState.EMPTY)
    @rule()
    def start(self) -> None:
        self.slot.start(self.slot.incarnation + 1)

    @rule()
    def become_ready(self) -> None:
        self.take(self.slot.ready(self.slot.incarnation))

    @precondition(lambda self: self.free)
    @rule()
    def run_task(self) -> None:
        self.last += 1
        self.free = False
        self.running = TaskId(self.last)
        self.slot.dispatch(self.running)

    @rule()
    def finish(self) -> None:
        self.take(self.slot.finished(self.slot.incarnation, self.current, OUTCOME))

    @rule(interrupt=st.booleans())
    def kill(self, interrupt: bool) -> None:
        self.slot.told(self.current, interrupt, "kill")

    @rule()
    def answer(self) -> None:
        self.take(self.slot.answered(self.slot.incarnation, self.current))

    @rule()
    def repeat(self) -> None:
        self.slot.repeated(self.slot.incarnation, self.current)

    @rule()
    def end_grace(self) -> None:
        self.slot.grace_over(self.slot.incarnation, self.current)

    @rule()
    def doom(self) -> None:
        self.slot.doom(self.slot.incarnation)

    @rule(begun=st.booleans())
    def exit_runner(self, begun: bool) -> None:
        self.take(self.slot.exited(self.slot.incarnation, LOSS, begun))

    @invariant()
    def check(self) -> None:
        self.slot.check()

    def teardown(self) -> None:
        self.take(self.slot.give_up("stop"))
        assert self.running is None


AnyOrder.TestCase.settings = settings(max_examples=50, stateful_step_count=30)
TestAnyOrder = AnyOrder.TestCase
