from minispark.executor.metrics import STOPPED, SYSTEM, Clocks, TaskClock
from minispark.rdd.ports import MutableTaskMetrics


def counting(step: int) -> Clocks:
    """Return clocks that move by a step each time somebody looks."""
    wall, cpu = iter(range(0, 1000, step)), iter(range(1000))
    return Clocks(lambda: next(wall), lambda: next(cpu), lambda: 7)


def test_decoding_and_running_are_measured_apart() -> None:
    metrics = MutableTaskMetrics()
    clock = TaskClock(counting(10), metrics)

    clock.decoded()
    clock.stop()

    assert (metrics.deserialize_time_ns, metrics.run_time_ns, metrics.cpu_time_ns) == (10, 10, 1)
    assert metrics.peak_memory_bytes == 7


def test_an_attempt_that_was_never_decoded_has_no_run_time() -> None:
    metrics = MutableTaskMetrics()
    clock = TaskClock(counting(10), metrics)

    clock.stop()

    assert (metrics.deserialize_time_ns, metrics.run_time_ns) == (10, 0)


def test_stopped_clocks_measure_nothing() -> None:
    metrics = MutableTaskMetrics()
    clock = TaskClock(STOPPED, metrics)

    clock.decoded()
    clock.stop()

    assert metrics.snapshot() == MutableTaskMetrics().snapshot()


def test_the_system_clocks_do_not_go_back() -> None:
    metrics = MutableTaskMetrics()
    clock = TaskClock(SYSTEM, metrics)

    clock.decoded()
    clock.stop()

    assert min(metrics.deserialize_time_ns, metrics.run_time_ns, metrics.cpu_time_ns) >= 0
