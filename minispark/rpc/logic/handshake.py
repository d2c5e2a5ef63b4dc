"""The handshake: who speaks, which versions, and the proof of both sides that they hold the secret. Pure.

    dialler → listener   Hello      versions, role, nonce
    listener → dialler   Welcome    the same of the listener, and its proof; or Refused with the reason
    dialler → listener   Proof      and from here on messages

A proof is a keyed digest of the transcript: both hellos, byte for byte, so nobody can change a version, a role or the
wish for seals on the way. The keys of the seals come from the same transcript.
"""

import hmac
from typing import Literal

from minispark.errors import ProtocolError
from minispark.record import Record, record
from minispark.rpc.logic import codec
from minispark.rpc.logic.address import RpcAddress
from minispark.rpc.logic.seal import BlakeSeal, keyed_digest
from minispark.rpc.message import Message, message

__all__ = [
    "HANDSHAKE_MAX_SIZE",
    "PROTOCOL",
    "Agreement",
    "Answerer",
    "Dialler",
    "Hello",
    "Identity",
    "Refused",
    "Role",
]

PROTOCOL = 1
"""The version of the wire; any change of frames, handshake or envelope raises it."""

HANDSHAKE_MAX_SIZE = 16 * 1024
NONCE_SIZE = 32
MAX_TEXT = 255
MAX_REASON = 600

Role = Literal["control", "bulk"]


@message(32000)
class Hello(Message):
    """Either side → the other: who I am, what I speak, where I listen, and whether I want frames sealed."""

    protocol: int
    minispark: str
    python: str
    hash_info: str
    codecs: tuple[str, ...]
    role: Role
    name: str
    realm: str
    address: RpcAddress | None
    sealed: bool
    nonce: bytes


@message(32001)
class Welcome(Message):
    """Listener → dialler: my hello, as bytes, and the proof that I know the secret."""

    hello: bytes
    proof: bytes


@message(32002)
class Proof(Message):
    """Dialler → listener: the proof that I know the secret."""

    proof: bytes


@message(32003)
class Refused(Message):
    """Listener → dialler, before it closes: why we cannot talk."""

    reason: str


@record
class Identity(Record):
    """What one side of a connection is; must agree with the other where `disagreements` compares."""

    minispark: str
    python: str
    hash_info: str
    codecs: tuple[str, ...]
    name: str

    def hello(self, role: Role, realm: str, address: RpcAddress | None, *, sealed: bool, nonce: bytes) -> Hello:
        """Return the Hello of this side for one connection."""
        return Hello(
            PROTOCOL, self.minispark, self.python, self.hash_info, self.codecs,
            role, self.name, realm, address, sealed, nonce,
        )  # fmt: skip


@record
class Agreement(Record):
    """What a completed handshake gave: the peer's hello and the seals, None where TLS or loopback makes them idle."""

    peer: Hello
    sending: BlakeSeal | None
    receiving: BlakeSeal | None


def disagreements(mine: Hello, theirs: Hello) -> str:
    """Return what keeps two sides from talking, naming both; empty if nothing does."""
    pairs = [
        ("protocol", mine.protocol, theirs.protocol),
        ("minispark", mine.minispark, theirs.minispark),
        ("Python", mine.python, theirs.python),
        ("sys.hash_info", mine.hash_info, theirs.hash_info),
        ("codecs", ", ".join(mine.codecs), ", ".join(theirs.codecs)),
    ]
    found = [f"{what} {a} in {mine.name!r} but {b} in {theirs.name!r}" for what, a, b in pairs if a != b]
    if len(theirs.nonce) != NONCE_SIZE:
        found.append(f"a nonce of {NONCE_SIZE} bytes is needed, {theirs.name!r} sent {len(theirs.nonce)}")
    elif theirs.nonce == mine.nonce:
        found.append("the nonce is my own: a message was sent back")
    return "; ".join(found)


def read(kind: type[Message], body: bytes | memoryview) -> Message:
    """Return a message of the handshake that must be of one kind.

    Raises:
        ProtocolError: it is not; if it is a Refused, with its reason.
    """
    got = codec.decode(body)
    if isinstance(got, Refused):
        reason = "".join(letter if letter.isprintable() else " " for letter in got.reason[:MAX_REASON])
        raise ProtocolError(f"refused by the peer: {reason}")
    if not isinstance(got, kind):
        raise ProtocolError(f"{type(got).__name__} came in the handshake where {kind.__name__} was due")
    return got


def read_hello(body: bytes | memoryview) -> Hello:
    """Return the hello of a peer that has proved nothing yet: what it says of itself must be fit for a log.

    Raises:
        ProtocolError: it is no Hello, or has texts that would be more than a part of a line.
    """
    theirs = read(Hello, body)
    assert isinstance(theirs, Hello)
    texts = (theirs.minispark, theirs.python, theirs.hash_info, theirs.name, theirs.realm, ",".join(theirs.codecs))
    if not all(len(text) <= MAX_TEXT and text.isprintable() for text in texts):
        raise ProtocolError(f"a text in the Hello has more than {MAX_TEXT} letters, or some that cannot be printed")
    return theirs


def agree(secret: bytes, transcript: tuple[bytes, bytes], peer: Hello, *, sealed: bool, dialler: bool) -> Agreement:
    """Return the agreement of one side, with keys for each direction if frames are sealed."""
    if not sealed:
        return Agreement(peer, None, None)
    up = BlakeSeal(keyed_digest(secret, b"seal up", *transcript))
    down = BlakeSeal(keyed_digest(secret, b"seal down", *transcript))
    return Agreement(peer, up, down) if dialler else Agreement(peer, down, up)


class Dialler:
    """The side that connected.

    Args:
        hello: its own.
        secret: of the realm that its hello names.
    """

    def __init__(self, hello: Hello, secret: bytes) -> None:
        self.hello = hello
        self.secret = secret
        self.first = codec.encode(hello)[0]

    def received(self, body: bytes | memoryview) -> tuple[bytes, Agreement]:
        """Take the listener's answer; return what to send and the agreement: messages may follow at once.

        Raises:
            ProtocolError: refused, versions disagree, or the listener does not know the secret.
        """
        welcome = read(Welcome, body)
        assert isinstance(welcome, Welcome)
        theirs = read_hello(welcome.hello)
        if problem := disagreements(self.hello, theirs):
            raise ProtocolError(f"handshake with {theirs.name!r} failed: {problem}")
        transcript = (self.first, welcome.hello)
        if not hmac.compare_digest(keyed_digest(self.secret, b"listener", *transcript), welcome.proof):
            raise ProtocolError(
                f"{theirs.name!r} does not know the secret of {self.hello.realm or 'the application'!r}"
            )
        sealed = self.hello.sealed or theirs.sealed
        proof = codec.encode(Proof(keyed_digest(self.secret, b"dialler", *transcript)))[0]
        return proof, agree(self.secret, transcript, theirs, sealed=sealed, dialler=True)


class Answerer:
    """The side that was connected to.

    Args:
        hello: its own; its realm is not used.
        secrets: by realm.
    """

    def __init__(self, hello: Hello, secrets: dict[str, bytes]) -> None:
        self.hello = hello
        self.secrets = secrets
        self.own = codec.encode(hello)[0]
        self.peer: Hello | None = None
        self.transcript = (b"", b"")

    def received(self, body: bytes | memoryview) -> tuple[bytes, Agreement | None]:
        """Take the dialler's next message; return what to send (maybe nothing) and, at the end, the agreement.

        Raises:
            ProtocolError: versions disagree, or the dialler does not know the secret; tell it with `Refused`.
        """
        return self.greet(bytes(body)) if self.peer is None else (b"", self.verify(body))

    def greet(self, body: bytes) -> tuple[bytes, None]:
        """Answer a Hello."""
        theirs = read_hello(body)
        if problem := disagreements(self.hello, theirs):
            raise ProtocolError(f"{self.hello.name!r} refuses {theirs.name!r}: {problem}")
        secret = self.secret_of(theirs)
        self.peer, self.transcript = theirs, (body, self.own)
        proof = keyed_digest(secret, b"listener", *self.transcript)
        return codec.encode(Welcome(self.own, proof))[0], None

    def secret_of(self, theirs: Hello) -> bytes:
        """Return the secret of a dialler's realm.

        Raises:
            ProtocolError: there is no such realm here.
        """
        secret = self.secrets.get(theirs.realm)
        if secret is None:
            raise ProtocolError(f"{self.hello.name!r} refuses {theirs.name!r}: it knows no realm {theirs.realm!r}")
        return secret

    def verify(self, body: bytes | memoryview) -> Agreement:
        """Check the dialler's proof."""
        assert self.peer is not None
        proof = read(Proof, body)
        assert isinstance(proof, Proof)
        secret = self.secret_of(self.peer)  # its application may have ended since it was greeted
        if not hmac.compare_digest(keyed_digest(secret, b"dialler", *self.transcript), proof.proof):
            raise ProtocolError(
                f"{self.peer.name!r} does not know the secret of {self.peer.realm or 'the application'!r}"
            )
        sealed = self.hello.sealed or self.peer.sealed
        return agree(secret, self.transcript, self.peer, sealed=sealed, dialler=False)
