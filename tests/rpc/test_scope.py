"""Who owns a task, and what becomes of its error."""

import asyncio

import pytest

from minispark.errors import RpcEnvStopped
from minispark.rpc.scope import TaskScope
from minispark.testing.virtual_loop import run_virtual
from tests.rpc.peers import Probe


async def fail() -> None:
    raise ValueError("broken")


@pytest.mark.scenario("RPC-003", "error in receive → onError")
def test_a_childs_error_goes_to_its_endpoint_and_cancels_nobody() -> None:
    async def main() -> None:
        scope, probe = TaskScope("test"), Probe()
        sibling = scope.spawn(asyncio.sleep(1, "fine"), name="sibling")
        scope.spawn(fail(), name="failing", owner=probe)
        assert await sibling == "fine"
        assert [str(error) for error in probe.errors] == ["broken"]
        assert not scope.children

    run_virtual(main())


def test_an_error_that_nobody_owns_or_settles_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Careless(Probe):
        def on_error(self, error: BaseException) -> None:
            raise error

    async def main() -> None:
        scope = TaskScope("test")
        scope.spawn(fail(), name="orphan")
        scope.spawn(fail(), name="careless", owner=Careless())
        await asyncio.sleep(1)

    run_virtual(main())
    assert "test: task orphan failed: broken" in caplog.text
    assert "test: task careless failed: broken" in caplog.text


def test_an_error_that_its_owner_does_not_settle_is_reported() -> None:
    class Careless(Probe):
        def on_error(self, error: BaseException) -> None:
            raise error

    reports: list[tuple[str, str]] = []

    async def main() -> None:
        scope = TaskScope("test", lambda name, error: reports.append((name, str(error))))
        scope.spawn(fail(), name="careless", owner=Careless())
        scope.spawn(fail(), name="careful", owner=Probe())
        scope.settle(ValueError("late"), "a timer", Careless())
        await asyncio.sleep(1)

    run_virtual(main())
    assert reports == [("a timer", "late"), ("careless", "broken")]


def test_closing_cancels_the_children_the_youngest_first() -> None:
    ended: list[str] = []

    async def child(name: str) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append(name)

    async def main() -> None:
        scope = TaskScope("test")
        for name in "abc":
            scope.spawn(child(name), name=name)
        await asyncio.sleep(1)
        await scope.close()
        assert ended == ["c", "b", "a"]

    run_virtual(main())


def test_closing_does_not_wait_longer_than_its_deadline(caplog: pytest.LogCaptureFixture) -> None:
    async def stubborn() -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            await asyncio.sleep(1000)

    async def main() -> None:
        scope = TaskScope("test")
        scope.spawn(stubborn(), name="stubborn")
        await asyncio.sleep(1)
        await scope.close(2.0)
        assert asyncio.get_running_loop().time() == 3.0

    run_virtual(main())
    assert "task stubborn does not end after 2 s" in caplog.text


def test_a_child_may_close_its_own_scope() -> None:
    async def main() -> None:
        scope = TaskScope("test")
        other = scope.spawn(asyncio.sleep(1000), name="other")
        await scope.spawn(scope.close(), name="closer")
        assert other.cancelled()

    run_virtual(main())


def test_a_closed_scope_starts_nothing() -> None:
    async def main() -> None:
        scope = TaskScope("test")
        await scope.close()
        with pytest.raises(RpcEnvStopped, match="cannot start 'late'"):
            scope.spawn(fail(), name="late")

    run_virtual(main())
