import ast
import re
from operator import add
from pathlib import Path
from typing import Any

import pytest

from minispark.conf import SparkConf
from minispark.context import SparkContext
from minispark.testing.virtual_loop import VirtualWorld, run_virtual

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/life-of-a-job.md").read_text(encoding="utf-8")
SYMBOLS = sorted(set(re.findall(r"`(minispark/[\w/]+\.py)::([\w.]+)`", PAGE)))


def has_symbol(body: list[ast.stmt], path: list[str]) -> bool:
    """Tell whether a dotted name is defined in a module's or a class's body."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == path[0]:
            return len(path) == 1 or has_symbol(node.body, path[1:])
    return False


@pytest.mark.parametrize(("file", "symbol"), SYMBOLS)
def test_every_symbol_that_the_page_names_exists(file: str, symbol: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert has_symbol(tree.body, symbol.split("."))


def test_the_page_names_a_dozen_places() -> None:
    assert len(SYMBOLS) >= 12


def test_the_job_of_the_page_leaves_the_trace_of_the_page(tmp_path: Path) -> None:
    trace: list[str] = []

    def observe(name: str, message: Any, context: Any) -> None:
        trace.append(f"{name} ← {type(message).__name__}")

    async def job() -> list[tuple[str, int]]:
        conf = SparkConf({"minispark.executor.pool": "inline", "minispark.local.dir": str(tmp_path)})
        async with SparkContext("local[1]", conf=conf, world=VirtualWorld()) as sc:
            assert sc.driver.env is not None
            sc.driver.env.dispatcher.observer = observe
            counts = sc.parallelize(["a", "b", "a"], 1).map(lambda word: (word, 1)).reduce_by_key(add)
            result = await counts.collect()
            sc.driver.env.dispatcher.observer = None
            return result

    assert sorted(run_virtual(job())) == [("a", 2), ("b", 1)]
    blocks: list[str] = re.findall(r"^```\n(.*?)^```", PAGE.split("## The trace")[1], flags=re.DOTALL | re.MULTILINE)
    assert "\n".join(trace) == blocks[-1].strip()
