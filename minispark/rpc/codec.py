"""Messages to bytes and back, for every room: the names of `logic.codec`, which see."""

from minispark.rpc.logic.codec import MAX_ITEMS, decode, encode

__all__ = ["MAX_ITEMS", "decode", "encode"]
