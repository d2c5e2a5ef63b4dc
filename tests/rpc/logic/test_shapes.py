"""How values of each type travel, and what is refused with the path to it."""

import enum
from typing import Any, Literal, NewType

import pytest

from minispark.errors import ProtocolError
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.codec import decode, encode, from_wire
from minispark.rpc.logic.shapes import INLINE_LIMIT, MAX_ATTACHMENTS
from minispark.rpc.message import Ask, Attachment, Message, message
from minispark.rpc.ref import RpcEndpointRef
from minispark.testing.fakes import RecordingRef


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


JobNumber = NewType("JobNumber", int)


@message(31100)
class Leaf(Message):
    number: JobNumber


@message(31101)
class Tree(Message):
    children: "tuple[Tree | Leaf, ...]" = ()
    parent: "Leaf | None" = None


@message(31102)
class Everything(Ask[Leaf]):
    flag: bool
    ratio: float
    color: Color
    level: Level
    mode: Literal["a", 1]
    pair: tuple[int, str]
    table: dict[str, tuple[Leaf, ...]]
    names: frozenset[str]
    numbers: list[int]
    address: RpcAddress | None
    ref: RpcEndpointRef | None
    either: int | str | None
    data: Attachment | None
    anything: Message


def everything(**changes: Any) -> Everything:
    values: dict[str, Any] = {
        "flag": True, "ratio": 2.5, "color": Color.RED, "level": Level.HIGH, "mode": 1, "pair": (1, "x"),
        "table": {"k": (Leaf(JobNumber(5)),)}, "names": frozenset({"b", "a"}), "numbers": [1, 2],
        "address": RpcAddress("h", 1), "ref": RecordingRef("e", RpcAddress("h", 2)), "either": "text", "data": b"d",
        "anything": Tree((Leaf(JobNumber(1)), Tree()), Leaf(JobNumber(2))),
    }  # fmt: skip
    return Everything(**{**values, **changes})


def back(made: Message) -> Any:
    body, attachments = encode(made)
    return decode(body, attachments, lambda name, address: RecordingRef(name, address))


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"address": None, "ref": None, "either": None, "data": None}, {"either": 7}, {"mode": "a"},
        {"ref": RecordingRef("client")}, {"data": b"x" * 5000}, {"anything": Leaf(JobNumber(9))}, {"ratio": 3},
        {"ratio": float("inf")}, {"either": "\ud800 lone"}, {"table": {}, "names": frozenset(), "numbers": []},
    ],
)  # fmt: skip
def test_every_kind_of_value_comes_back_equal_and_of_its_type(changes: dict[str, Any]) -> None:
    made = everything(**changes)
    got = back(made)

    assert got == made
    assert type(got.ratio) is float
    assert type(got.level) is Level
    assert type(got.names) is frozenset


def test_equal_sets_have_equal_bytes() -> None:
    names = [f"name {number}" for number in range(50)]

    assert encode(everything(names=frozenset(names)))[0] == encode(everything(names=frozenset(reversed(names))))[0]


def replaced(index: int, value: Any) -> list[Any]:
    """Return the wire of a message with one field replaced."""
    wire = [31102, True, 2.5, "red", 2, 1, [1, "x"], {"k": [[31100, 5]]}, [], [1], None, None, None, None, [31100, 1]]
    wire[index] = value
    return wire


@pytest.mark.parametrize(
    ("wire", "problem"),
    [
        (replaced(1, 1), r"\$\.flag must be a bool, not int 1"),
        (replaced(2, "2.5"), r"\$\.ratio must be a float, not str"),
        (replaced(2, True), r"\$\.ratio must be a float, not bool True"),
        (replaced(3, "blue"), r"\$\.color must be a Color, not str"),
        (replaced(4, True), r"\$\.level must be a Level, not bool True"),
        (replaced(4, 3), r"\$\.level must be a Level, not int 3"),
        (replaced(5, "b"), r"\$\.mode must be one of 'a', 1, not str"),
        (replaced(5, True), r"\$\.mode must be one of 'a', 1, not bool True"),
        (replaced(6, [1]), r"\$\.pair must be a tuple\[int, str\], not list of 1 items"),
        (replaced(6, [1, 2]), r"\$\.pair\[1\] must be a str, not int 2"),
        (replaced(7, {"k": [[31100, 5], [31100, "x"]]}), r"\$\.table\['k'\]\[1\]\.number must be an int, not str"),
        (replaced(7, {5: []}), r"\$\.table\[5\] must be a str, not int 5"),
        (replaced(7, {"k" * 1000: 5}), r"\$\.table\['k{59}\] must be a list, not int 5"),
        (replaced(7, [1]), r"\$\.table must be a dict"),
        (replaced(8, [1]), r"\$\.names\[0\] must be a str, not int 1"),
        (replaced(9, [1, None]), r"\$\.numbers\[1\] must be an int, not NoneType None"),
        (replaced(10, ["h", 65536]), r"\$\.address must be an address"),
        (replaced(10, ["h"]), r"\$\.address must be an address"),
        (replaced(11, ["e"]), r"\$\.ref must be an endpoint ref"),
        (replaced(12, 1.5), r"\$\.either must be an int or a str or None, not float 1.5"),
        (replaced(13, 0), r"\$\.data must be bytes or the number of one of 0 attachments, not int 0"),
        (replaced(13, "x"), r"\$\.data must be bytes or None, not str"),
        (replaced(14, [30998]), "no message is known by tag 30998"),
        (replaced(14, []), r"\$\.anything must be a Message, not list of 0 items"),
        ([31101, [[31101], [31102]]], r"\$\.children\[1\] must be a Leaf or Tree, not Everything"),
        ([31101, [], [31101]], r"\$\.parent must be a Leaf, not Tree"),
        ([31101, [], [31100.0, 1]], r"\$\.parent must be a Leaf, not list of 2 items"),
        ([31101, [], "x"], r"\$\.parent must be a Leaf or None, not str"),
        ([31100], r"\$ must be a Leaf of 1 fields and its tag, not list of 1 items"),
        ([31100, 1, 2], r"\$ must be a Leaf of 1 fields and its tag, not list of 3 items"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(wire: list[Any], problem: str) -> None:
    with pytest.raises(ProtocolError, match=problem):
        from_wire(wire, [])


def test_messages_in_messages_without_end_are_refused() -> None:
    wire: list[Any] = [Tree.TAG]
    for _ in range(240):
        wire = [Tree.TAG, [wire]]

    with pytest.raises(ProtocolError, match=r"malformed Tree: .*recursion"):
        from_wire(wire, ())


def test_what_equals_a_known_tag_is_none() -> None:
    assert back(everything()) == everything()  # now the reader of `anything` is known
    with pytest.raises(ProtocolError, match=r"\$\.anything must be a Message, not list of 2 items"):
        from_wire(replaced(14, [31101.0, []]), [])


def test_missing_last_fields_of_an_older_writer_have_their_defaults() -> None:
    assert from_wire([31101], []) == Tree()
    assert from_wire([31101, [[31100, 1]]], []) == Tree((Leaf(JobNumber(1)),))


def test_an_attachment_stays_in_the_body_up_to_the_limit() -> None:
    inside, outside = b"x" * INLINE_LIMIT, bytearray(INLINE_LIMIT + 1)

    assert encode(everything(data=inside))[1] == []
    assert encode(everything(data=outside))[1][0] is outside
    assert back(everything(data=memoryview(b"abcd").cast("I"))).data == b"abcd"


def test_only_so_many_attachments_travel_beside_the_body() -> None:
    @message(31103)
    class Many(Message):
        parts: tuple[Attachment, ...]

    made = Many((b"x" * (INLINE_LIMIT + 1),) * (MAX_ATTACHMENTS + 2))
    assert len(encode(made)[1]) == MAX_ATTACHMENTS
    assert back(made) == made


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"data": "text"}, r"\$\.data must be bytes or None"),
        ({"either": object()}, r"\$\.either must be an int or a str or None: "),
        ({"pair": (1,)}, r"\$\.pair must be a tuple.*must have 2 items, not 1"),
        ({"anything": 5}, r"\$\.anything must be a Message"),
        ({"numbers": [2**64]}, r"\$\.numbers must be a list"),
        ({"names": {"a", 1}}, r"\$\.names must be"),
        ({"ref": "Master"}, r"\$\.ref"),
        ({"pair": (1, "\ud800 lone"), "numbers": [2**64]}, r"\$\.numbers must be a list"),
    ],
)
def test_a_value_that_cannot_travel_is_refused_at_the_sender_naming_the_field(
    changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ProtocolError, match=f"Everything.*{problem}"):
        back(everything(**changes))


def test_a_ref_needs_an_env_to_be_bound() -> None:
    with pytest.raises(ProtocolError, match="no RpcEnv to bind it"):
        decode(encode(everything())[0])
