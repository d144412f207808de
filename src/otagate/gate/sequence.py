"""A confidence sequence for a share: an interval that may be looked at after every device, and still holds.

Pure, and nothing but the standard library. It is for people to read; what acts is :func:`otagate.gate.stats.log_e_up`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from otagate.gate.stats import check_counts

TUNED_ALPHA = 0.05
"""The error chance that the mixture is tuned for. It changes how tight the interval is, never whether it holds."""
TUNED_DEVICES = 300.0
"""So many devices it is tuned for: the default ``min_sample`` of ``crash_rate``."""
_LEAST_WEIGHT = 1e-3


def confidence_sequence(bad: int, total: int, alpha: float = 0.05, t_opt: float = TUNED_DEVICES) -> tuple[float, float]:
    """Give an interval for the true share that holds at all looks together.

    The chance that the true share is ever outside of it, over any number of looks, is at most ``alpha``. For every share ``p``
    the counts are weighed against a beta-binomial mixture around ``p``; the interval is all shares that are not refuted.

    Args:
        bad: 0 to ``total``.
        total: 0 or more; with 0 the interval is everything.
        alpha: Chance of ever being wrong, 0..1, exclusive.
        t_opt: After so many devices the interval is tightest, compared with other tunings.

    Returns:
        Lower and upper end, both within 0..1.

    Raises:
        ValueError: The counts contradict each other, or ``alpha`` is no chance.

    **Source:** S. R. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence
    sequences", Ann. Statist. 49 (2021), proposition 7 and equation (3.12), for Bernoulli observations.
    """
    check_counts(bad, total)
    if not 0 < alpha < 1:
        message = f"{alpha} is not a chance between 0 and 1"
        raise ValueError(message)
    if total == 0:
        return 0.0, 1.0
    weight = _weight(t_opt)
    needed = -math.log(alpha)

    def refuted(share: float) -> bool:
        return _log_mixture(bad, total, share, weight) >= needed

    middle = bad / total
    # Next to a border the evidence grows without bound from the second device on; one device alone has a finite limit.
    at_border = math.log(weight / (weight + total - 1))
    low = 0.0 if bad == 0 or (bad == 1 and at_border < needed) else _edge(refuted, 0.0, middle)
    good = total - bad
    high = 1.0 if good == 0 or (good == 1 and at_border < needed) else _edge(refuted, 1.0, middle)
    return low, high


def _weight(t_opt: float) -> float:
    """Give the mixture's concentration: how many devices it is worth."""
    doubt = -2 * math.log(TUNED_ALPHA)
    return max(t_opt / (doubt + math.log1p(doubt)) - 1, _LEAST_WEIGHT)


def _log_mixture(bad: int, total: int, share: float, weight: float) -> float:
    """Give the log-likelihood of a beta-distributed share around ``share``, less that of ``share`` itself; 0 and 1 excluded."""
    good, rest = total - bad, 1 - share
    mixed = _log_beta(weight * share + bad, weight * rest + good) - _log_beta(weight * share, weight * rest)
    return mixed - bad * math.log(share) - good * math.log1p(-share)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _edge(refuted: Callable[[float], bool], outside: float, inside: float) -> float:
    """Halve between a share that is refuted and one that is not, and give the last refuted one: never too tight."""
    for _ in range(60):
        middle = (outside + inside) / 2
        if middle in {outside, inside}:
            break
        if refuted(middle):
            outside = middle
        else:
            inside = middle
    return outside
