"""What is shown of URLs, and what errors of foreign libraries keep of them."""

import errno
from typing import Any, NamedTuple

import pytest

from minispark.urls import conceal, concealing, is_url, shown, shown_setting


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sftp://bob:secret@host:22/x", "sftp://bob:…@host:22/x"),
        ("s3://key:se:cr@et@bucket/x@y", "s3://key:…@bucket/x@y"),
        ("s3://AKIA:sec/ret@bucket/x", "s3://AKIA:…@bucket/x"),
        ("zip://a.txt::ftp://bob:secret@host/x.zip", "zip://a.txt::ftp://bob:…@host/x.zip"),
        ("no route to http://bob:secret@host:80", "no route to http://bob:…@host:80"),
        ("https://h/x?page=3&X-Amz-Signature=ab12&sig=c%2Bd", "https://h/x?page=3&X-Amz-Signature=…&sig=…"),
        ("https://h/x?what=0123456789abcdef01234", "https://h/x?what=…"),
        ("FileNotFoundError('https://h/x?token=ab')", "FileNotFoundError('https://h/x?token=…')"),
        ("http://host:80/a@b", "http://host:80/a@b"),
        ("http://[::1]:80/a@b", "http://[::1]:80/a@b"),
        ("s3://bucket/part-0?x/y=1", "s3://bucket/part-0?x/y=1"),
        ("sftp://bob@host/x", "sftp://bob@host/x"),
        ("/data/a:b@c?token=d", "/data/a:b@c?token=d"),
    ],
)
def test_what_is_shown_holds_no_password(name: str, text: str) -> None:
    assert shown(name) == text


@pytest.mark.parametrize(("name", "answer"), [("s3://x", True), ("/a://b", False), ("c:/x", False), ("a", False)])
def test_a_url_begins_with_a_scheme(name: str, answer: bool) -> None:
    assert is_url(name) is answer


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("minispark.executorEnv.AWS_SECRET_ACCESS_KEY", "abc", "…"),
        ("minispark.executorEnv.PROXY", "http://u:pass@h", "http://u:…@h"),
        ("minispark.app.name", "nightly", "nightly"),
        ("minispark.authenticate.secretFile", "/etc/secret", "/etc/secret"),
    ],
)
def test_settings_are_shown_without_secrets(key: str, value: str, text: str) -> None:
    assert shown_setting(key, value) == text


class Request(NamedTuple):
    url: Any
    method: str


class Address:
    def __str__(self) -> str:
        return "https://host/x?token=t0k3n"


class Answered(Exception):  # as aiohttp's: what it shows is in an attribute
    def __init__(self, request: Request) -> None:
        super().__init__(request, 403)
        self.request = request

    def __str__(self) -> str:
        return f"403, url={self.request.url}"


def test_what_a_foreign_exception_shows_is_concealed_and_its_type_stays() -> None:
    error = Answered(Request(Address(), "GET"))

    conceal(error, "https://host/x?token=t0k3n")

    assert str(error) == "403, url=https://host/x?token=…"
    assert error.request.method == "GET"
    assert error.args[1] == 403


def test_all_that_an_exception_is_linked_to_is_concealed() -> None:
    url = "s3://key:hush%2Fhush@bucket/x"
    error = FileNotFoundError(errno.ENOENT, "not there", url)
    error.__cause__ = ExceptionGroup("both", [ValueError('no bucket "key:hush/hush@bucket"'), KeyError(url)])
    error.__cause__.__context__ = error

    conceal(error, url)

    group = error.__cause__
    assert isinstance(group, ExceptionGroup)
    shown_texts = [str(error), *map(str, group.exceptions)]
    assert shown_texts == [
        "[Errno 2] not there: 's3://key:…@bucket/x'",
        'no bucket "key:…@bucket"',
        "'s3://key:…@bucket/x'",
    ]


def test_a_secret_that_a_library_divides_at_its_slash_is_concealed_in_parts() -> None:
    error = ValueError('Invalid bucket name "AKIA:first", with key "second@bucket/x"')

    conceal(error, "s3://AKIA:first/second@bucket/x")

    assert str(error) == 'Invalid bucket name "AKIA:…", with key "…@bucket/x"'


def test_a_text_of_many_urls_and_no_spaces_is_not_searched_to_its_end_for_each_of_them() -> None:
    text = "://host:port," * 100 + "x@y"

    assert shown(text).startswith("://host:port,://host:port,")


def test_a_stream_conceals_its_own_errors_and_not_the_users() -> None:
    url = "sftp://bob:secret@host/x"
    with pytest.raises(TimeoutError, match=r"^sftp://bob:…@host/x stands$"), concealing(url):
        raise TimeoutError(f"{url} stands")
    with pytest.raises(ValueError, match=r"^bob:secret$"), concealing(url):
        raise ValueError("bob:secret")
