import asyncio

from minispark.scheduler.properties import (
    GROUP,
    current_properties,
    get_local_property,
    local_properties,
    set_local_property,
)
from minispark.testing.virtual_loop import run_virtual


def test_a_task_inherits_properties_and_does_not_disturb_its_parent() -> None:
    async def child() -> str | None:
        inherited = get_local_property(GROUP)
        set_local_property(GROUP, "child")
        return inherited

    async def scenario() -> None:
        set_local_property(GROUP, "parent")
        async with asyncio.TaskGroup() as tasks:
            started = [tasks.create_task(child()) for _ in range(3)]
        assert [task.result() for task in started] == ["parent"] * 3
        assert get_local_property(GROUP) == "parent"

    run_virtual(scenario())


def test_a_block_sets_properties_for_its_length() -> None:
    async def scenario() -> None:
        with local_properties(color="red"):
            assert current_properties() == {"color": "red"}
            with local_properties(shape="round"):
                assert current_properties() == {"color": "red", "shape": "round"}
        assert current_properties() == {}

    run_virtual(scenario())


def test_none_removes_a_property_and_copies_are_independent() -> None:
    async def scenario() -> None:
        set_local_property("color", "red")
        copy = current_properties()
        copy["color"] = "blue"
        assert get_local_property("color") == "red"
        set_local_property("color", None)
        assert get_local_property("color") is None

    run_virtual(scenario())
