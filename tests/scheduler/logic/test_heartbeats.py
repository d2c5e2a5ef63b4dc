from minispark.ids import ExecutorId
from minispark.scheduler.logic.heartbeats import Expired, Heartbeats

ONE, TWO = ExecutorId("1"), ExecutorId("2")


def table(*executors: ExecutorId) -> Heartbeats:
    heartbeats = Heartbeats(timeout_s=120.0)
    heartbeats.ready = True
    for executor_id in executors:
        heartbeats.added(executor_id, f"host-{executor_id}", now=0.0)
    return heartbeats


def test_an_executor_is_known_from_its_registration_to_its_removal() -> None:
    heartbeats = table(ONE)
    assert heartbeats.heard(ONE, now=1.0)
    assert not heartbeats.heard(TWO, now=1.0)
    heartbeats.removed(ONE)
    heartbeats.removed(ONE)
    assert not heartbeats.heard(ONE, now=2.0)


def test_before_the_task_scheduler_is_ready_nobody_is_known() -> None:
    heartbeats = table(ONE)
    heartbeats.ready = False
    assert not heartbeats.heard(ONE, now=1.0)


def test_only_who_is_silent_for_longer_than_the_timeout_expires_and_only_once() -> None:
    heartbeats = table(ONE, TWO)
    heartbeats.heard(ONE, now=60.0)
    assert heartbeats.expire(now=120.0) == []
    assert heartbeats.expire(now=180.0) == [Expired(TWO, "host-2", 180.0)]
    assert heartbeats.expire(now=180.0) == []
    assert list(heartbeats.last_seen) == [ONE]


def test_an_executor_that_registers_again_begins_anew() -> None:
    heartbeats = table(ONE)
    heartbeats.added(ONE, "elsewhere", now=100.0)
    assert heartbeats.expire(now=200.0) == []
    assert heartbeats.expire(now=300.0) == [Expired(ONE, "elsewhere", 200.0)]


def test_at_the_end_of_the_application_nobody_expires() -> None:
    heartbeats = table(ONE)
    heartbeats.stopped = True
    assert heartbeats.expire(now=1000.0) == []
