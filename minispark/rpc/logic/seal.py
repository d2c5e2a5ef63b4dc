"""Seals: the keyed BLAKE2b tag and the sequence number of every frame that leaves the machine without TLS."""

import hmac
from collections.abc import Sequence
from hashlib import blake2b

from minispark.errors import ProtocolError
from minispark.rpc.message import Attachment

__all__ = ["TAG_SIZE", "BlakeSeal", "keyed_digest"]

TAG_SIZE = 16
SEQUENCE_SIZE = 8


def keyed_digest(secret: bytes, purpose: bytes, *parts: bytes) -> bytes:
    """Return 32 bytes that only a holder of the secret can make, for a purpose (at most 16 bytes) and some parts."""
    key = secret if len(secret) <= 64 else blake2b(secret).digest()
    digest = blake2b(digest_size=32, key=key, person=purpose)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


class BlakeSeal:
    """Makes, or checks, the seals of one direction of one connection; both ends count the frames.

    Args:
        key: 32 bytes that no other direction or connection uses.
    """

    size = SEQUENCE_SIZE + TAG_SIZE

    def __init__(self, key: bytes) -> None:
        self.state = blake2b(digest_size=TAG_SIZE, key=key)
        self.sequence = 0

    def tag(self, sequence: bytes, parts: Sequence[Attachment]) -> bytes:
        """Return the tag of a frame's content under a sequence number."""
        digest = self.state.copy()  # the key is hashed once
        digest.update(sequence)
        for part in parts:
            digest.update(part)
        return digest.digest()

    def make(self, parts: Sequence[Attachment]) -> bytes:
        """Return the seal of the next frame to be sent."""
        sequence = self.sequence.to_bytes(SEQUENCE_SIZE, "big")
        self.sequence += 1
        return sequence + self.tag(sequence, parts)

    def check(self, seal: memoryview, content: memoryview) -> None:
        """Verify the seal of the next frame received.

        Raises:
            ProtocolError: the frame was changed, made up, repeated, or one before it was taken out.
        """
        sequence = bytes(seal[:SEQUENCE_SIZE])
        number = int.from_bytes(sequence, "big")
        if not hmac.compare_digest(self.tag(sequence, [content]), bytes(seal[SEQUENCE_SIZE:])):
            raise ProtocolError("a frame's tag is wrong: it was not made by the peer that proved the secret")
        if number != self.sequence:
            raise ProtocolError(f"frame {number} came in place of frame {self.sequence}: repeated or taken out")
        self.sequence += 1
