"""Candidacy and Lease: at no time do two masters lead."""

from hypothesis import given
from hypothesis import strategies as st

from minispark.deploy.logic.election import Candidacy, Claim, Lease


def test_the_first_master_claims_the_first_term() -> None:
    assert Candidacy(10.0).observe(None, 0.0, 0.0) == 1


def test_a_leader_that_renews_keeps_its_term() -> None:
    candidacy = Candidacy(10.0)

    assert [candidacy.observe(Claim(3, beat), beat * 5.0, beat * 5.0) for beat in range(20)] == [None] * 20


def test_a_leader_that_stops_renewing_loses_it_after_more_than_a_lease() -> None:
    candidacy = Candidacy(10.0)
    candidacy.observe(Claim(3, 7), 100.0, 100.0)

    assert candidacy.observe(Claim(3, 7), 112.5, 112.5) is None
    assert candidacy.observe(Claim(3, 7), 112.6, 112.6) == 4


def test_one_that_resigned_or_is_dead_is_followed_at_once() -> None:
    assert Candidacy(10.0).observe(Claim(3, 7, is_over=True), 0.0, 0.0) == 4


def test_a_new_claim_is_waited_for_anew() -> None:
    candidacy = Candidacy(10.0)
    candidacy.observe(Claim(3, 0), 0.0, 0.0)

    assert candidacy.observe(Claim(4, 0), 20.0, 20.0) is None
    assert candidacy.observe(Claim(4, 0), 32.0, 32.0) is None
    assert candidacy.observe(Claim(4, 0), 33.0, 33.0) == 5


def test_a_lease_that_ran_out_is_over_for_good() -> None:
    lease = Lease(10.0, 0.0, 1000.0)

    assert lease.holds(10.0, 1010.0)
    assert not lease.holds(10.1, 1010.1)
    assert not lease.renewed(10.0, 1010.0, 10.0, 1010.0)
    assert not lease.holds(10.0, 1010.0)


def test_a_renewal_that_is_done_too_late_does_not_count() -> None:
    lease = Lease(10.0, 0.0, 0.0)

    assert not lease.renewed(5.0, 5.0, 11.0, 11.0)


def test_the_time_of_a_suspended_machine_counts() -> None:
    lease = Lease(10.0, 0.0, 1000.0)

    assert not lease.holds(1.0, 1600.0)


@given(
    renewals=st.lists(st.tuples(st.floats(0, 20), st.floats(0, 20)), max_size=8),
    looks=st.lists(st.tuples(st.floats(0, 8), st.floats(0, 30)), min_size=1, max_size=30),
)
def test_nobody_is_replaced_whose_lease_holds(
    renewals: list[tuple[float, float]], looks: list[tuple[float, float]]
) -> None:
    """Given pauses and slow writes of a leader, and pauses and slow reads of a candidate."""
    lease, candidacy = Lease(10.0, 0.0, 0.0), Candidacy(10.0)
    now_s = 0.0
    beats = [(0.0, 0)]  # (when it can be seen, beat)
    ends_s = 10.0
    for beat, (pause_s, write_s) in enumerate(renewals, 1):
        began_s = now_s + pause_s
        now_s = began_s + write_s
        beats.append((now_s, beat))
        if lease.renewed(began_s, began_s, now_s, now_s):
            ends_s = began_s + 10.0
    read_s = 0.0
    for pause_s, slow_s in looks:
        seen = [each for at_s, each in beats if at_s <= read_s + slow_s][-1]
        claimed = candidacy.observe(Claim(1, seen), read_s, read_s + slow_s)
        assert claimed is None or read_s > ends_s
        read_s += slow_s + pause_s
