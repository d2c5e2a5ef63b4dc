"""Errors of an ask on their way to the asker: a type's name and a text, near or far the same."""

from minispark import errors
from minispark.errors import RpcError

__all__ = ["describe", "rebuild"]

KNOWN: dict[str, type[RpcError]] = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, RpcError) and value is not RpcError
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
    """Return the asker's error: of its own type if that is one of minispark's RPC errors, else an RpcError."""
    known = KNOWN.get(type_name)
    if known is not None:
        return known(text)
    return RpcError(text if type_name == RpcError.__name__ else f"{type_name}: {text}")
