"""Terms: which master may command. Asked by the worker and the application's client before they obey.

Every master that takes the lead has a term higher than all before it. One that was frozen, lost the lead and wakes up
again still says its old term, and must start and end nothing.
"""

__all__ = ["Terms"]


class Terms:
    """The highest term that was heard of.

    Attributes:
        highest: 0 before the first command.
    """

    def __init__(self) -> None:
        self.highest = 0

    def accepts(self, term: int) -> bool:
        """Take note of a command's term; return False if its sender was superseded."""
        if term < self.highest:
            return False
        self.highest = term
        return True
