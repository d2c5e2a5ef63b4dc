"""When a master that answers nothing counts as lost: the decision of `deploy.master_watch`.

Questions are counted, not seconds: a process that was itself suspended finds much time gone, and no question open.
"""

from typing import Final

__all__ = ["QUESTIONS", "Silence"]

QUESTIONS: Final = 4
"""How many times in a row it is time to ask before a master without an answer is taken for lost."""


class Silence:
    """What one master has not answered.

    Attributes:
        unanswered: how many times in a row it was time to ask.
    """

    def __init__(self) -> None:
        self.unanswered = 0

    def time_to_ask(self) -> bool:
        """Take note that it is time to ask again; return False instead if the master is lost."""
        if self.unanswered == QUESTIONS:
            return False
        self.unanswered += 1
        return True

    def answered(self) -> None:
        """Take note of an answer."""
        self.unanswered = 0

    def check(self) -> None:
        """Assert the invariants."""
        assert 0 <= self.unanswered <= QUESTIONS
