"""Text to count: words drawn by Zipf's law from a made-up vocabulary, the same on every machine.

Kept in the system's folder for temporary files and made once.
"""

import os
import random
import tempfile
from itertools import accumulate, islice
from pathlib import Path

__all__ = ["vocabulary", "zipf_text"]

WORDS = 30_000
WORDS_PER_LINE = 12
LINES_AT_ONCE = 10_000
SYLLABLES = ("ka", "no", "mi", "ter", "ol", "shi", "ra", "un", "ves", "to", "el", "qua", "di", "pen", "or", "zu")


def vocabulary(count: int) -> list[str]:
    """Return that many different words, short ones first, as the frequent words of a language are."""
    words = [""]
    for word in words:
        if len(words) > count:
            break
        words += [word + syllable for syllable in SYLLABLES]
    return words[1 : count + 1]


def zipf_text(size_bytes: int) -> Path:
    """Return a file of at least that many bytes."""
    path = Path(tempfile.gettempdir()) / "minispark-benchmarks" / f"zipf-{WORDS}-{size_bytes}.txt"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        write(unfinished, size_bytes)
        unfinished.rename(path)
    return path


def write(path: Path, size_bytes: int) -> None:
    """Write the text, line by line."""
    words = vocabulary(WORDS)
    weights = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))
    chance = random.Random(20_080_706)
    written = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        while written < size_bytes:
            drawn = iter(chance.choices(words, cum_weights=weights, k=LINES_AT_ONCE * WORDS_PER_LINE))
            lines = (" ".join(islice(drawn, WORDS_PER_LINE)) + "\n" for _ in range(LINES_AT_ONCE))
            written += file.write("".join(lines))
