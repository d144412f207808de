"""How often apps are opened in each hour of a week. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from otagate.errors import UsageError

HOURS = 168
_EPOCH_H = 72
"""1970 began on a Thursday, three days after the week did."""


@dataclass(frozen=True, slots=True)
class Week:
    """A week from Monday, 00:00 UTC. Make it with :meth:`of`.

    Attributes:
        weights: Of each hour; the mean is 1.
        sums: Of the weights before each hour, and of all of them.
    """

    weights: tuple[float, ...]
    sums: tuple[float, ...]

    @classmethod
    def of(cls, weights: Sequence[float]) -> Week:
        """Make a week of 168 weights, on any scale.

        Raises:
            UsageError: There are more or fewer, one is below 0, or all are 0.
        """
        total = sum(weights)
        if len(weights) != HOURS or min(weights) < 0 or not total > 0:
            raise UsageError("this is no week", "hours", expected="168 numbers from 0 on, of which one is more")
        even = tuple(weight * HOURS / total for weight in weights)
        return cls(even, (0.0, *accumulate(even)))

    def after(self, at: float, hours: float) -> float:
        """Give the instant at which so many mean hours will have passed.

        Args:
            at: Unix seconds.
            hours: How many, above 0: a full week has 168 of them, however they are spread over it.
        """
        place = hour_of_week(at)
        begun = int(place)
        due = self.sums[begun] + (place - begun) * self.weights[begun] + hours
        weeks, rest = divmod(due, self.sums[-1])
        # The hour in which the sum is reached: one without weight never is.
        ending = bisect_right(self.sums, rest) - 1
        found = ending + (rest - self.sums[ending]) / self.weights[ending]
        return max(at, at + (weeks * HOURS + found - place) * 3600)


def hour_of_week(at: float) -> float:
    """Give the hours since Monday, 00:00 UTC, of an instant in Unix seconds: 0 to below 168."""
    return (at / 3600 + _EPOCH_H) % HOURS
