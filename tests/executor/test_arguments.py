import pytest

from minispark.errors import ConfigurationError, RpcAddressError
from minispark.executor.arguments import Arguments
from minispark.ids import ApplicationId, ExecutorId
from minispark.rpc.logic.address import RpcAddress

PAIRS = {"driver": "driver:7077", "executor-id": "3", "host": "worker-1", "cores": "4", "memory": "1024",
         "app-id": "app-1", "lifeline": "5"}  # fmt: skip
WORDS = [word for name, value in PAIRS.items() for word in (f"--{name}", value)]


def test_the_words_of_a_worker_are_read() -> None:
    assert Arguments.parse(WORDS) == Arguments(
        RpcAddress("driver", 7077), ExecutorId("3"), "worker-1", 4, 1024, ApplicationId("app-1"), 5
    )
    assert Arguments.parse([*WORDS, "--directory", "/work"]).directory == "/work"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (WORDS[2:], "--driver"),
        ([*WORDS, "--color", "blue"], "--color"),
        ([*WORDS, "--directory"], "--directory"),
        ([*WORDS[:-1], "x"], "--lifeline 'x' is not a whole number"),
        ([*WORDS, "--cores", "0"], "--cores '0' is not a whole number of at least 1"),
    ],
)
def test_what_is_wrong_is_named_with_the_usage(words: list[str], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text) as caught:
        Arguments.parse(words)

    assert "python -m minispark.executor --driver HOST:PORT" in str(caught.value)


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(RpcAddressError):
        Arguments.parse(["--driver", "nowhere", *WORDS[2:]])
