"""The page about a record's way: its places exist, and its settings have the defaults that it gives."""

import ast
import re

import pytest

from tests.docs.test_life_of_a_job import ROOT, has_symbol

PAGE = (ROOT / "docs/storage-and-shuffle.md").read_text(encoding="utf-8")
SYMBOLS = sorted(set(re.findall(r"`(minispark/[\w/]+\.py)::([\w.]+)`", PAGE)))
DEFAULTS = sorted(set(re.findall(r"`(minispark\.[\w.]+)` \(([\w.]+)", PAGE)))
SETTINGS = dict(
    re.findall(r"^\| `(minispark\.[\w.]+)` \| `?([\w.]+)`? \|", (ROOT / "docs/configuration.md").read_text(), re.M)
)


@pytest.mark.parametrize(("file", "symbol"), SYMBOLS)
def test_every_symbol_that_the_page_names_exists(file: str, symbol: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert has_symbol(tree.body, symbol.split("."))


def test_every_setting_has_the_default_that_the_page_gives() -> None:
    assert len(DEFAULTS) >= 10
    assert {key: SETTINGS[key] for key, _ in DEFAULTS} == dict(DEFAULTS)


def test_every_setting_that_the_page_names_exists() -> None:
    assert set(re.findall(r"`(minispark\.[a-z][\w.]+)`", PAGE)) <= SETTINGS.keys()
