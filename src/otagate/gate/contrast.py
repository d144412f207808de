"""A release against the one before it, on devices that were first seen at the same time. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from otagate.gate.stats import ALTERNATIVES, FARTHEST_UP, NEAREST, check_counts


def log_e_contrast(rows: Sequence[tuple[int, int, int, int]], tolerance: float) -> float:
    """Weigh the evidence that the release's rate of bad devices exceeds its control's by more than is tolerated.

    Each row is looked at by itself: of its bad devices, the release should have a part that follows from how many devices
    each side has. What changes both sides alike, such as a weekend, an outage or the growing weight, cancels out. While the
    release's rate is at most ``1 + tolerance`` times that of its control in every row, the e-value is a supermartingale: it
    ever reaches ``1 / alpha`` with a chance of at most ``alpha``. This holds at any rates, not only small ones: a device is
    bad or not, and such counts spread less than the Poisson counts for which the bound is exact.

    Args:
        rows: ``(bad, total, control_bad, control_total)``, of closed buckets of alike devices. Bad devices may still be
            added to a row, devices may not. A row without devices on one of the sides says nothing.
        tolerance: Allowed relative increase, 0 or more: 0.5 is one and a half times the control's rate.

    Returns:
        The natural logarithm of the e-value, finite; 0 for no evidence at all.

    Raises:
        ValueError: Counts contradict each other, or the tolerance is negative or not finite.

    **Source:** J. Przyborowski, H. Wilenski, "Homogeneity of results in testing samples from Poisson series", Biometrika 31
    (1940), for conditioning on the sum; J. Ville (1939) for the inequality. Grid: :data:`~otagate.gate.stats.ALTERNATIVES`
    rate ratios in a geometric row from 1.15 times the tolerated one to 20 times.
    """
    if not 0 <= tolerance < math.inf:
        message = f"{tolerance} is not an allowed increase"
        raise ValueError(message)
    told = []
    for bad, total, control_bad, control_total in rows:
        check_counts(bad, total)
        check_counts(control_bad, control_total)
        if total and control_total and (bad or control_bad):
            told.append((bad, bad + control_bad, (1 + tolerance) * total / control_total))
    if not told:
        return 0.0
    step = math.log(FARTHEST_UP / NEAREST) / (ALTERNATIVES - 1)
    logs = [_log_ratio(told, math.log(NEAREST) + step * place) for place in range(ALTERNATIVES)]
    # The largest is taken out first: exp() of it may be beyond a float.
    largest = max(logs)
    return largest + math.log(math.fsum(math.exp(value - largest) for value in logs) / ALTERNATIVES)


def _log_ratio(rows: Sequence[tuple[int, int, float]], log_increase: float) -> float:
    """Sum the log-likelihood ratios of one alternative; rows are (bad, bad of both sides, tolerated odds)."""
    increase = math.exp(log_increase)
    return math.fsum(bad * log_increase - both * (math.log1p(odds * increase) - math.log1p(odds)) for bad, both, odds in rows)
