"""The wire of every message: golden bytes, and any message there and back."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minispark.rpc.logic.codec import decode, encode
from tests.rpc.samples import all_messages, bind_fake, messages_of, sample

GOLDEN = Path(__file__).parent.parent / "golden" / "messages.txt"
HEADER = """\
# The bytes of one sample of every message: tag, name, hexadecimal. A line that changes is a change of the protocol,
# which peers of other versions will not understand: raise PROTOCOL in rpc/logic/handshake.py. Tags are not
# used again. Written by: MINISPARK_WRITE_GOLDEN=1 pytest tests/rpc/logic/test_codec_wire.py
"""


def lines() -> dict[str, str]:
    """Return the lines of the golden file as they should be, by name of the message."""
    return {
        cls.__name__: f"{tag} {cls.__name__} {encode(sample(cls))[0].hex()}" for tag, cls in all_messages().items()
    }


def test_every_message_has_its_golden_bytes() -> None:
    if os.environ.get("MINISPARK_WRITE_GOLDEN"):
        GOLDEN.write_text(HEADER + "".join(line + "\n" for line in lines().values()))
    golden = {line.split()[1]: line for line in GOLDEN.read_text().splitlines() if not line.startswith("#")}

    assert lines() == golden


@pytest.mark.parametrize("cls", all_messages().values(), ids=lambda cls: cls.__name__)
def test_the_sample_of_every_message_comes_back_equal(cls: type[Any]) -> None:
    body, attachments = encode(sample(cls))

    assert decode(body, attachments, bind_fake) == sample(cls)


@settings(max_examples=60)
@given(st.data())
def test_any_message_comes_back_equal(data: st.DataObject) -> None:
    cls = data.draw(st.sampled_from(list(all_messages().values())))
    made = data.draw(messages_of(cls))

    body, attachments = encode(made)

    assert decode(body, attachments, bind_fake) == made
    assert all(len(attachment) > 4096 for attachment in attachments)


@pytest.mark.cluster
def test_a_runner_process_gets_codec_and_frames_without_asyncio() -> None:
    code = "import sys, minispark.rpc.logic.codec, minispark.rpc.logic.frames; sys.exit('asyncio' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
