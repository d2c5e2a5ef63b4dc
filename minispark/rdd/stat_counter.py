"""StatCounter: the count, mean, variance, least and greatest of numbers, in one pass and mergeable.

Made by tasks and merged in the driver (`statistics`). Numerically stable: it keeps the mean and the sum of squared
distances from it. Source: Spark's StatCounter.
"""

import math
from collections.abc import Iterable
from typing import Self

__all__ = ["StatCounter"]


class StatCounter:
    """Statistics of numbers.

    Args:
        values: the first numbers.

    Attributes:
        count: how many there were.
        mean: 0 if there were none.
        squares: the sum of the squared distances from the mean.
        min: the least; infinite if there were none.
        max: the greatest; negative infinite if there were none.

    Example:
        >>> StatCounter([1, 2, 3, 4]).variance
        1.25
    """

    __slots__ = ("count", "max", "mean", "min", "squares")

    def __init__(self, values: Iterable[float] = ()) -> None:
        self.count = 0
        self.mean = 0.0
        self.squares = 0.0
        self.min = math.inf
        self.max = -math.inf
        for value in values:
            self.add(value)

    def add(self, value: float) -> Self:
        """Take one more number; a NaN makes mean and variance NaN."""
        delta = value - self.mean
        self.count += 1
        self.mean += delta / self.count
        self.squares += delta * (value - self.mean)
        if value < self.min:
            self.min = value
        if value > self.max:
            self.max = value
        return self

    def merge(self, other: "StatCounter") -> Self:
        """Take all numbers of another counter, which may be this one."""
        if other.count == 0:
            return self
        if self.count == 0:
            for name in self.__slots__:
                setattr(self, name, getattr(other, name))
            return self
        total = self.count + other.count
        delta = other.mean - self.mean
        self.squares += other.squares + delta * delta * self.count * other.count / total
        # Of two means that are weighed alike, the one that loses less.
        if other.count * 10 < self.count:
            self.mean += delta * other.count / total
        elif self.count * 10 < other.count:
            self.mean = other.mean - delta * self.count / total
        else:
            self.mean = (self.mean * self.count + other.mean * other.count) / total
        self.min, self.max = min(self.min, other.min), max(self.max, other.max)
        self.count = total
        return self

    def copy(self) -> "StatCounter":
        """Return another one of the same numbers."""
        return StatCounter().merge(self)

    @property
    def sum(self) -> float:
        """The sum of the numbers."""
        return self.count * self.mean

    @property
    def variance(self) -> float:
        """The variance of the numbers themselves; NaN if there were none."""
        return self.squares / self.count if self.count else math.nan

    @property
    def sample_variance(self) -> float:
        """The variance of what the numbers are a sample of; NaN if there were fewer than two."""
        return self.squares / (self.count - 1) if self.count > 1 else math.nan

    @property
    def stdev(self) -> float:
        """The standard deviation of the numbers themselves; NaN if there were none."""
        return math.sqrt(self.variance)

    @property
    def sample_stdev(self) -> float:
        """The standard deviation of what the numbers are a sample of; NaN if there were fewer than two."""
        return math.sqrt(self.sample_variance)

    def as_dict(self, sample: bool = False) -> dict[str, float]:
        """Return all by name, as the variance and standard deviation of a sample if asked."""
        return {
            "count": self.count,
            "mean": self.mean,
            "sum": self.sum,
            "min": self.min,
            "max": self.max,
            "stdev": self.sample_stdev if sample else self.stdev,
            "variance": self.sample_variance if sample else self.variance,
        }

    def __repr__(self) -> str:
        return (
            f"(count: {self.count}, mean: {self.mean}, stdev: {self.stdev}, max: {float(self.max)}, "
            f"min: {float(self.min)})"
        )
