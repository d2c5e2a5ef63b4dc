"""The examples run as a reader runs them: stdout as promised, stderr empty, nothing left behind."""

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from examples import k_means, log_analysis, page_rank, pi, word_count
from tools.parity import ROOT

pytestmark = pytest.mark.cluster

EXAMPLES = [path for path in sorted((ROOT / "examples").glob("*.py")) if path.name != "__init__.py"]


def run(name: str, folder: Path, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *arguments],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    assert not list(folder.iterdir())
    return ended.stdout


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text()

    assert not [path.name for path in EXAMPLES if f'run("{path.name}"' not in text]


def test_word_count_agrees_with_plain_python_and_shows_its_stages(tmp_path: Path) -> None:
    out = run("word_count.py", tmp_path, str(Path(sysconfig.get_path("stdlib"), "asyncio")))

    assert "both agree" in out
    assert len(re.findall(r"^ +[\d,]+  \w+$", out, re.M)) == 20
    assert re.search(r"stage +what +tasks +time +shuffle read +shuffle write", out)


def test_pi_is_about_right(tmp_path: Path) -> None:
    out = run("pi.py", tmp_path, "200000")

    assert re.fullmatch(r"π is about 3\.1\d+, by 200,000 darts\n", out)


def test_page_rank_finds_the_pages_that_plain_python_finds(tmp_path: Path) -> None:
    web = page_rank.small_web(300)
    ranks = dict.fromkeys(range(300), 1.0)
    for _ in range(page_rank.ROUNDS):
        received: dict[int, float] = {}
        for page, targets in web:
            for target in targets if page in ranks else ():
                received[target] = received.get(target, 0.0) + ranks[page] / len(targets)
        ranks = {page: page_rank.damped(value) for page, value in received.items()}
    best = sorted(ranks, key=lambda page: (-ranks[page], page))[:5]

    out = run("page_rank.py", tmp_path, "300")

    assert [int(number) for number in re.findall(r"^page +(\d+):", out, re.M)] == best


def test_k_means_finds_where_the_points_lie(tmp_path: Path) -> None:
    out = run("k_means.py", tmp_path, "3000")

    found = re.findall(r"^ +([\d,]+) points around \(([\d.]+), ([\d.]+)\)$", out, re.M)
    assert sum(int(number.replace(",", "")) for number, _, _ in found) == 3000
    assert [(round(float(x)), round(float(y))) for _, x, y in found] == sorted(
        (round(x), round(y)) for x, y in k_means.PLACES
    )


def test_log_analysis_counts_what_was_written(tmp_path: Path) -> None:
    out = run("log_analysis.py", tmp_path, "5000")

    total, damaged = (int(text.replace(",", "")) for text in re.findall(r"([\d,]+) (?:requests, |damaged)", out)[:2])
    assert total + damaged == 5000
    assert damaged > 0
    assert out.count("ms on average") == len(log_analysis.PAGES)


def test_the_parts_that_are_plain_python_are_right(tmp_path: Path) -> None:
    log_analysis.write_log(tmp_path / "log", 200)
    lines = (tmp_path / "log").read_text().splitlines()

    assert sum(len(log_analysis.parse(line)) for line in lines) >= 195
    assert 3.0 < 4 * pi.hits(7, 20_000) / 20_000 < 3.3
    assert len(word_count.library_files(Path(sysconfig.get_path("stdlib")))) > 100
