import logging
from pathlib import Path

import pytest

from minispark.errors import ConfigurationError
from minispark.scheduler.allocation_file import find_pools, read_pools
from minispark.scheduler.logic.pool import Mode, PoolSpec

XML = """<?xml version="1.0"?>
<allocations>
  <pool name="production"><schedulingMode>FAIR</schedulingMode><weight>2</weight><minShare>3</minShare></pool>
  <pool name="test"><schedulingMode>FIFO</schedulingMode><weight>1</weight><minShare>0</minShare></pool>
</allocations>
"""

TOML = """
[pools.team]
mode = "fair"
min_share = 4

[pools.team.pools.nightly]
weight = 3

[pools.adhoc]
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def one_pool(tmp_path: Path, body: str) -> PoolSpec:
    (spec,) = read_pools(write(tmp_path / "pools.xml", f'<allocations><pool name="p">{body}</pool></allocations>'))
    return spec


@pytest.mark.scenario("POOL-009", "allocation file valid → pools")
def test_a_valid_file_gives_its_pools(tmp_path: Path) -> None:
    assert read_pools(write(tmp_path / "pools.xml", XML)) == [
        PoolSpec("production", Mode.FAIR, 3, 2),
        PoolSpec("test", Mode.FIFO, 0, 1),
    ]


def test_a_toml_file_can_nest_pools(tmp_path: Path) -> None:
    assert read_pools(write(tmp_path / "pools.toml", TOML)) == [
        PoolSpec("team", Mode.FAIR, 4),
        PoolSpec("nightly", weight=3, parent="team"),
        PoolSpec("adhoc"),
    ]


@pytest.mark.scenario("POOL-009", "default fairscheduler.xml found")
def test_a_default_file_in_the_folder_is_found(tmp_path: Path) -> None:
    assert find_pools("", tmp_path) == []
    write(tmp_path / "fairscheduler.xml", XML)
    assert [spec.name for spec in find_pools("", tmp_path)] == ["production", "test"]


@pytest.mark.scenario("POOL-009", "missing configured file → error")
def test_a_configured_file_that_is_missing_is_an_error_that_names_it(tmp_path: Path) -> None:
    write(tmp_path / "fairscheduler.xml", XML)
    with pytest.raises(
        ConfigurationError, match=r"nowhere\.xml cannot be read.*minispark\.scheduler\.allocation\.file"
    ):
        find_pools(str(tmp_path / "nowhere.xml"), tmp_path)


@pytest.mark.scenario("POOL-004")
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<minShare>INVALID</minShare><weight>2</weight>", PoolSpec("p", weight=2)),
        ("<minShare>-1</minShare>", PoolSpec("p")),
        ("<minShare>1</minShare><weight>INVALID</weight>", PoolSpec("p", min_share=1)),
        ("<schedulingMode>INVALID</schedulingMode><weight>2</weight>", PoolSpec("p", weight=2)),
        ("<schedulingMode>fAiR</schedulingMode>", PoolSpec("p", Mode.FAIR)),
        ("<schedulingMode>NONE</schedulingMode>", PoolSpec("p")),
        ("<minShare>  </minShare><weight>  </weight><schedulingMode>  </schedulingMode>", PoolSpec("p")),
        ("<minShare></minShare><weight></weight><schedulingMode></schedulingMode>", PoolSpec("p")),
        (
            "<minShare> 3 </minShare><weight> 2 </weight><schedulingMode> FAIR </schedulingMode>",
            PoolSpec("p", Mode.FAIR, 3, 2),
        ),
    ],
)
def test_a_value_that_cannot_be_used_becomes_its_default(tmp_path: Path, body: str, expected: PoolSpec) -> None:
    assert one_pool(tmp_path, body) == expected


def test_a_bad_value_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        one_pool(tmp_path, "<weight>heavy</weight>")
    assert "'heavy' is not a whole number" in caplog.text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.xml", "<allocations>"),
        ("a.toml", "pools = ["),
        ("b.toml", "[pools]\nx=1"),
        ("c.toml", "[[pools]]\nname='x'"),
        ("d.toml", "[pools.a]\npools = 4"),
    ],
)
def test_a_malformed_file_is_named(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is malformed"):
        read_pools(write(tmp_path / name, text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[pools.a]\n[pools.b.pools.a]", "pools.toml has pool 'a' in 'b' and in 'the root'"),
        ("[pools.b.pools.default]", "pools.toml has pool 'default' in 'b' and in 'the root'"),
    ],
)
def test_a_pool_in_two_places_is_refused_and_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read_pools(write(tmp_path / "pools.toml", text))


def test_a_pool_without_a_name_is_told_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "<allocations><pool><weight>3</weight></pool><pool name='p'/></allocations>"
    assert read_pools(write(tmp_path / "pools.xml", text)) == [PoolSpec("p")]
    assert "pools.xml has no name" in caplog.text
