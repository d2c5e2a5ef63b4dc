"""The pages: links lead somewhere, files that are named exist, every room is introduced."""

import re
from pathlib import Path

import pytest

from tools.parity import ROOT

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]+\]\((?P<target>[^)#\s]+)(#[^)]*)?\)")
FILE = re.compile(r"`(?P<path>(?:minispark|tests|examples|benchmarks|docs|tools)/[\w./-]+)(?:::\w[\w.]*)?`")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_named_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = [page.parent / match["target"] for match in LINK.finditer(text) if "://" not in match["target"]]
    named = [ROOT / match["path"] for match in FILE.finditer(text)]

    assert not [str(path) for path in (*targets, *named) if not path.exists()]


def test_the_readme_introduces_every_room() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rooms = [path.parent.name for path in (ROOT / "minispark").glob("*/__init__.py")]

    assert rooms
    assert not [room for room in rooms if f"(minispark/{room})" not in text]


def test_the_glossary_is_sorted() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"^\| ([\w ]+) \|", text, re.M)[1:]

    assert words == sorted(words, key=str.lower)
