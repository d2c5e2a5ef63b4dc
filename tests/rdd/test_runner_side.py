import pytest

from minispark.errors import ContextError
from minispark.ids import BroadcastId
from minispark.messages.runner import BroadcastFile, NeedBroadcast
from minispark.rdd import runner_side
from minispark.rdd.runner_side import ask_executor, forget, install_asker


def test_outside_of_runners_nobody_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_side, "asker", None)

    with pytest.raises(ContextError, match="neither a task nor the driver"):
        ask_executor(NeedBroadcast(BroadcastId(1)))


def test_the_installed_way_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_side, "asker", None)
    install_asker(lambda request: BroadcastFile(repr(request)))

    assert ask_executor(NeedBroadcast(BroadcastId(1))) == BroadcastFile("NeedBroadcast(broadcast_id=1)")


def test_all_who_hold_values_hear_of_those_to_forget(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[BroadcastId] = []
    monkeypatch.setattr(runner_side, "forgetters", [told.extend])

    forget([BroadcastId(3)])

    assert told == [BroadcastId(3)]
