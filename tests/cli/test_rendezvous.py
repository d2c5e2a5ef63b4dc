"""minispark.cli.rendezvous: ranks, the meeting, the end; and who else could read them."""

import stat
from pathlib import Path

import pytest

from minispark.cli.rendezvous import Meeting, Rendezvous, job_of, rank_of
from minispark.errors import ConfigurationError

MEETING = Meeting("alpha:7077", b"a secret of this run", "1f")


@pytest.mark.parametrize(
    ("environment", "rank", "job"),
    [({"SLURM_PROCID": "3", "SLURM_JOB_ID": "17", "SLURM_STEP_ID": "0"}, 3, "17-0"),
     ({"OMPI_COMM_WORLD_RANK": "0", "PMIX_NAMESPACE": "host/1@2"}, 0, "host-1-2"),
     ({"PMI_RANK": "1"}, 1, None), ({"SLURM_JOB_ID": "17"}, None, None), ({}, None, None)],
)  # fmt: skip
def test_launchers_say_ranks_and_jobs(environment: dict[str, str], rank: int | None, job: str | None) -> None:
    assert (rank_of(environment), job_of(environment)) == (rank, job)


def test_without_a_launcher_first_come_is_first(tmp_path: Path) -> None:
    place = Rendezvous(tmp_path / "meet")

    assert [place.claim_rank(2), place.claim_rank(2)] == [0, 1]
    with pytest.raises(ConfigurationError, match=r"all 2 places in .* are taken"):
        place.claim_rank(2)


def test_the_others_read_what_rank_0_tells_and_nobody_else_can(tmp_path: Path) -> None:
    place = Rendezvous(tmp_path / "meet")
    assert place.meeting() is None

    place.open(MEETING)

    assert Rendezvous(tmp_path / "meet").meeting() == MEETING
    assert stat.S_IMODE((tmp_path / "meet").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "meet" / "meeting").stat().st_mode) == 0o600


def test_the_end_is_that_of_this_run(tmp_path: Path) -> None:
    place = Rendezvous(tmp_path / "meet")
    place.end(Meeting("alpha:7077", b"", "an earlier run"), 0)

    assert place.ended(MEETING) is None
    place.end(MEETING, 7)
    assert place.ended(MEETING) == 7


def test_those_who_left_are_counted_and_late_ones_are_no_harm(tmp_path: Path) -> None:
    place = Rendezvous(tmp_path / "meet")
    place.leave(1)
    assert place.number_left() == 1

    place.remove()
    place.leave(2)

    assert not (tmp_path / "meet").exists()


def test_a_place_to_which_others_can_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "meet").mkdir()
    (tmp_path / "meet").chmod(0o777)

    with pytest.raises(ConfigurationError, match="others can write to it"):
        Rendezvous(tmp_path / "meet")
