import pytest

from minispark.rdd.urls import is_url, shown


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sftp://bob:secret@host:22/x", "sftp://bob:…@host:22/x"),
        ("s3://key:se:cr@et@bucket/x@y", "s3://key:…@bucket/x@y"),
        ("zip://a.txt::ftp://bob:secret@host/x.zip", "zip://a.txt::ftp://bob:…@host/x.zip"),
        ("no route to http://bob:secret@host:80", "no route to http://bob:…@host:80"),
        ("http://host:80/a@b", "http://host:80/a@b"),
        ("sftp://bob@host/x", "sftp://bob@host/x"),
        ("/data/a:b@c", "/data/a:b@c"),
    ],
)
def test_what_is_shown_holds_no_password(name: str, text: str) -> None:
    assert shown(name) == text


@pytest.mark.parametrize(("name", "answer"), [("s3://x", True), ("/a://b", False), ("c:/x", False), ("a", False)])
def test_a_url_begins_with_a_scheme(name: str, answer: bool) -> None:
    assert is_url(name) is answer
