"""benchmarks.text: the same text everywhere, made once."""

from collections import Counter
from pathlib import Path

import pytest

from benchmarks import text


def test_words_differ_and_short_ones_come_first() -> None:
    words = text.vocabulary(5000)

    assert len(set(words)) == 5000
    assert max(map(len, words[:16])) < min(map(len, words[-16:]))


def test_a_text_is_made_once_and_is_the_same_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "WORDS", 1000)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    path = text.zipf_text(10_000)
    first, made = path.read_bytes(), path.stat().st_mtime_ns
    again = text.zipf_text(10_000)
    unchanged = again.stat().st_mtime_ns == made
    path.unlink()

    assert unchanged
    assert text.zipf_text(10_000).read_bytes() == first
    assert len(first) >= 10_000


def test_the_first_word_is_about_twice_as_frequent_as_the_second(tmp_path: Path) -> None:
    text.write(tmp_path / "text", 1)

    (_, first), (_, second) = Counter((tmp_path / "text").read_text().split()).most_common(2)

    assert first / second == pytest.approx(2, rel=0.1)
