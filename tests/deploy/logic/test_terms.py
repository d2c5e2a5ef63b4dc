"""minispark.deploy.logic.terms."""

from minispark.deploy.logic.terms import Terms


def test_commands_of_a_superseded_master_are_refused() -> None:
    terms = Terms()

    heard = [terms.accepts(term) for term in (1, 1, 3, 2, 3)]

    assert heard == [True, True, True, False, True]
    assert terms.highest == 3
