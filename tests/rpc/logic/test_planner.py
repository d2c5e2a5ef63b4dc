"""What type hints mean on the wire, and which ones cannot travel."""

import enum
from collections.abc import Callable
from typing import Any

import pytest

from minispark.rpc.logic.codec import planner
from minispark.rpc.message import Message, message
from minispark.rpc.ref import RpcEndpointRef


class Level(enum.IntEnum):
    LOW = 1


@message(31105)
class Twig(Message):
    number: int


@pytest.mark.parametrize(
    "hint",
    [object, Any, dict[tuple[int, int], str], tuple[int, ...] | list[int], int | Level, RpcEndpointRef | Twig, set,
     Callable[[], None]],
)  # fmt: skip
def test_types_that_cannot_travel_or_be_told_apart_are_refused_when_the_codec_is_built(hint: Any) -> None:
    with pytest.raises(TypeError):
        planner.plan(hint)


@pytest.mark.parametrize(
    ("hint", "as_is"),
    [(int, {int}), (float, {float}), (int | str | None, {int, str, type(None)}), (Twig | None, {type(None)}),
     (tuple[int, ...], set()), (bytes | bytearray | memoryview, {bytes})],
)  # fmt: skip
def test_a_plan_says_which_values_are_read_as_they_are(hint: Any, as_is: set[type]) -> None:
    plan = planner.plan(hint)
    assert plan.as_is == as_is
    assert plan.read is None or all(plan.read(kind(), [], None) == kind() for kind in plan.as_is)


def test_only_plans_of_messages_know_what_reads_messages() -> None:
    assert planner.plan(Twig | None).reads_message is not None
    assert planner.plan(tuple[int, ...] | None).reads_message is None
