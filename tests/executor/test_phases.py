from minispark.executor.phases import Phases


def test_phases_say_how_long_each_took_and_all_together() -> None:
    times = iter([1.0, 1.02, 1.05])
    phases = Phases(times.__next__)
    phases.mark("modules")
    phases.mark("registered")

    assert str(phases) == "modules 20 ms, registered 30 ms, in all 50 ms"
