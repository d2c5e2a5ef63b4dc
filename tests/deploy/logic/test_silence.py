"""minispark.deploy.logic.silence."""

from minispark.deploy.logic.silence import QUESTIONS, Silence


def test_a_master_is_lost_when_it_leaves_all_questions_in_a_row_unanswered() -> None:
    silence = Silence()

    assert [silence.time_to_ask() for _ in range(QUESTIONS + 1)] == [True] * QUESTIONS + [False]
    silence.check()


def test_an_answer_begins_anew() -> None:
    silence = Silence()
    for _ in range(QUESTIONS):
        silence.time_to_ask()

    silence.answered()

    assert silence.time_to_ask()
    assert silence.unanswered == 1
