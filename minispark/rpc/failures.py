"""Errors of an ask on their way to the asker: a type's name and a text, near or far the same."""

from minispark import errors
from minispark.errors import MiniSparkError, RpcError

__all__ = ["describe", "in_words", "rebuild"]

OWN: dict[str, type[MiniSparkError]] = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, MiniSparkError)
}
TEXT_LIMIT = 64 * 1024


def describe(error: BaseException) -> tuple[str, str]:
    """Return an error's type name and text; an error whose text cannot be made has none."""
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001 — a user's __str__
        text = f"<its text cannot be shown: {type(broken).__name__}>"
    return type(error).__name__, text[:TEXT_LIMIT]


def rebuild(type_name: str, text: str) -> RpcError:
    """Return the asker's error: of its own type if that is one of minispark's RPC errors, else an RpcError.

    It is always an RpcError, because askers expect one. The text of minispark's other errors says all; of foreign
    ones the type is named.
    """
    known = OWN.get(type_name)
    if known is None:
        return RpcError(f"{type_name}: {text}")
    return known(text) if issubclass(known, RpcError) else RpcError(text)


def in_words(error: BaseException) -> str:
    """Return an error as one reads it: its type and its text, or the text alone where the type says nothing."""
    return str(error) if type(error) in (MiniSparkError, RpcError) else f"{type(error).__name__}: {error}"
