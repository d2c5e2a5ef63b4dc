"""What a message class is."""

import pytest

from minispark.rpc.message import Message, message, registered_messages
from tests.rpc.peers import Note, Question


def test_messages_compare_hash_and_print_by_their_fields() -> None:
    assert Note("a") == Note("a") != Note("b")
    assert Note("a") != Question("a")
    assert hash(Note("a")) == hash(Note("a"))
    assert repr(Note("a")) == "Note(text='a')"


def test_messages_are_frozen_under_test() -> None:
    note = Note("a")
    with pytest.raises(AttributeError):
        note.text = "b"  # type: ignore[misc]


def test_messages_match_by_position() -> None:
    match Note("a"):
        case Note(text):
            assert text == "a"


def test_a_tag_belongs_to_one_message() -> None:
    with pytest.raises(ValueError, match=r"message tag 31000 of .*Other is taken by Note"):

        @message(31000)
        class Other(Message):
            text: str


def test_every_message_is_found_by_its_tag() -> None:
    assert registered_messages()[31001] is Question
