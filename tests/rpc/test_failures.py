"""Errors on their way to an asker."""

import pytest

from minispark.errors import (
    JobCancelled,
    MiniSparkError,
    OutboxOverflow,
    RpcEndpointNotFound,
    RpcError,
    RpcFileNotFound,
    StorageError,
)
from minispark.rpc.failures import describe, in_words, rebuild


@pytest.mark.parametrize(
    "error", [RpcEndpointNotFound("x"), OutboxOverflow("y"), RpcFileNotFound("z"), RpcError("w")]
)
def test_an_error_of_the_rpc_layer_comes_back_as_itself(error: RpcError) -> None:
    back = rebuild(*describe(error))

    assert (type(back), str(back)) == (type(error), str(error))


@pytest.mark.parametrize("error", [MiniSparkError("x"), StorageError("the disk is full"), JobCancelled("y")])
def test_minisparks_other_errors_come_back_as_rpc_errors_of_the_same_text(error: MiniSparkError) -> None:
    back = rebuild(*describe(error))

    assert (type(back), str(back)) == (RpcError, str(error))


def test_an_error_is_told_with_its_type_unless_that_says_nothing() -> None:
    told = [in_words(error) for error in (RpcError("stopped"), KeyError("x"), StorageError("the disk is full"))]

    assert told == ["stopped", "KeyError: 'x'", "StorageError: the disk is full"]


def test_any_other_error_comes_back_as_an_rpc_error_that_names_it() -> None:
    back = rebuild(*describe(ZeroDivisionError("division by zero")))

    assert (type(back), str(back)) == (RpcError, "ZeroDivisionError: division by zero")


def test_a_long_text_is_cut() -> None:
    assert len(describe(ValueError("x" * 10_000_000))[1]) == 65536


def test_an_error_whose_text_cannot_be_made_is_described_without() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert describe(Broken()) == ("Broken", "<its text cannot be shown: RuntimeError>")
