"""Errors on their way to an asker."""

import pytest

from minispark.errors import OutboxOverflow, RpcEndpointNotFound, RpcError, RpcFileNotFound
from minispark.rpc.failures import describe, rebuild


@pytest.mark.parametrize(
    "error", [RpcEndpointNotFound("x"), OutboxOverflow("y"), RpcFileNotFound("z"), RpcError("w")]
)
def test_an_error_of_the_rpc_layer_comes_back_as_itself(error: RpcError) -> None:
    back = rebuild(*describe(error))

    assert (type(back), str(back)) == (type(error), str(error))


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
