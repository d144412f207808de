"""The statistics of gates: plain formulas over counts, with nothing but the standard library.

Counts are devices, each counted once: ``bad`` of ``total`` independent devices. Probabilities and shares are 0..1.
How the numbers are used, and what they can see, stands in docs/gates.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

ALTERNATIVES = 24
"""Shares that each e-process bets on. More would change the evidence by less than a hundredth."""
NEAREST = 1.15
"""The nearest alternative is this factor away from the limit: closer ones need more devices than a rollout has."""
FARTHEST_UP = 20.0
FARTHEST_DOWN = 0.02
LARGEST_SHARE = 0.98


def wilson(bad: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Give the two-sided Wilson score interval of a share.

    Args:
        bad: 0 to ``total``.
        total: At least 1.
        confidence: Chance that the interval covers the true share, 0..1, exclusive.

    Returns:
        Lower and upper end, both within 0..1.

    Raises:
        ValueError: The counts contradict each other, or there are none.

    **Source:** E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    check_counts(bad, total)
    _check_some(total)
    from statistics import NormalDist  # noqa: PLC0415 - it costs more to import than the whole of this module

    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    share = bad / total
    middle = share + z2 / (2 * total)
    half = math.sqrt(z2 * (share * (1 - share) / total + z2 / (4 * total * total)))
    scale = 1 + z2 / total
    # At the borders the formula is exact only on paper; rounding must not leave 0..1.
    low = 0.0 if bad == 0 else max(0.0, (middle - half) / scale)
    high = 1.0 if bad == total else min(1.0, (middle + half) / scale)
    return low, high


def clopper_pearson(bad: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Give the two-sided exact interval of a share; it never covers less often than it says, and is wider than Wilson's.

    Args, Returns, Raises: as for :func:`wilson`.

    **Source:** C. Clopper, E. S. Pearson, "The use of confidence or fiducial limits", Biometrika 26 (1934), as quantiles of the
    beta distribution.
    """
    check_counts(bad, total)
    _check_some(total)
    tail = (1 - confidence) / 2
    low = 0.0 if bad == 0 else _beta_quantile(tail, bad, total - bad + 1)
    high = 1.0 if bad == total else _beta_quantile(1 - tail, bad + 1, total - bad)
    return low, high


def at_most(bad: int, total: int, share: float) -> float:
    """Give the chance of at most ``bad`` bad devices among ``total``, when each is bad with the chance ``share``.

    Args:
        bad: Any number; below 0 the chance is 0, from ``total`` on it is 1.
        total: 0 or more.
        share: 0..1.

    Raises:
        ValueError: ``total`` is negative, or the share is none.

    **Source:** the binomial distribution as a regularised incomplete beta function, NIST DLMF 8.17.5, https://dlmf.nist.gov/8.17#E5.
    """
    check_counts(0, total)
    _check_share(share)
    if bad < 0 or bad >= total:
        return float(bad >= total)
    if share in {0.0, 1.0}:
        return 1.0 - share
    return min(1.0, _beta_below(1.0 - share, total - bad, bad + 1))


def log_e_up(bad: int, total: int, limit: float) -> float:
    """Weigh the evidence that the true share is above ``limit``.

    The e-value is the mean, over a fixed grid of worse shares, of the likelihood ratio of that share against the limit. While
    the true share is at or below the limit it is a supermartingale: over any number of looks, at any times, it reaches
    ``1 / alpha`` with a chance of at most ``alpha``. Only the running counts are needed, so no look remembers another.

    Args:
        bad: 0 to ``total``.
        total: 0 or more.
        limit: Largest tolerated share of bad devices, 0..1.

    Returns:
        The natural logarithm of the e-value; plus infinity when the limit is 0 and a bad device was seen.

    Raises:
        ValueError: The counts contradict each other, or the limit is not a share.

    **Source:** J. Ville (1939) for the inequality; Robbins, "Statistical methods related to the law of the iterated
    logarithm", Ann. Math. Statist. 41 (1970), for mixtures. Grid: :data:`ALTERNATIVES` shares in a geometric row from
    1.15 times the limit to 20 times, at most 0.98.
    """
    check_counts(bad, total)
    _check_share(limit)
    if limit == 0:
        return math.inf if bad else 0.0
    if limit == 1:
        return 0.0
    return _log_mean_ratio(bad, total, limit, _worse(limit))


def log_e_down(bad: int, total: int, limit: float) -> float:
    """Weigh the evidence that the true share is below ``limit``: the mirror image of :func:`log_e_up`.

    Returns:
        The natural logarithm of the e-value, always finite: minus infinity is given as the logarithm of the smallest float.

    Raises:
        ValueError: As for :func:`log_e_up`.

    **Source:** as for :func:`log_e_up`. Grid: from the limit divided by 1.15 down to 0.02 times the limit.
    """
    check_counts(bad, total)
    _check_share(limit)
    if limit == 0:
        return 0.0
    if limit == 1:
        return math.inf if bad < total else 0.0
    return _log_mean_ratio(bad, total, limit, _row(limit / NEAREST, limit * FARTHEST_DOWN))


def _worse(limit: float) -> Iterator[float]:
    low, high = limit * NEAREST, min(limit * FARTHEST_UP, LARGEST_SHARE)
    if high <= low:  # limits above 85 %: there is no room for the usual row, so the space up to 1 is divided instead
        low, high = limit + (1 - limit) * 0.15, limit + (1 - limit) * 0.9
    return _row(low, high)


def _row(first: float, last: float) -> Iterator[float]:
    step = math.log(last / first) / (ALTERNATIVES - 1)
    return (first * math.exp(step * place) for place in range(ALTERNATIVES))


def _log_mean_ratio(bad: int, total: int, limit: float, shares: Iterator[float]) -> float:
    good = total - bad
    logs = [bad * math.log(share / limit) + good * (math.log1p(-share) - math.log1p(-limit)) for share in shares]
    # The largest is taken out first: exp() of it may be beyond a float.
    largest = max(logs)
    return largest + math.log(math.fsum(math.exp(value - largest) for value in logs) / len(logs))


def _beta_quantile(chance: float, a: float, b: float) -> float:
    low, high = 0.0, 1.0
    # Halving sixty times leaves less than one unit in the last place of a share.
    for _ in range(60):
        middle = (low + high) / 2
        if _beta_below(middle, a, b) < chance:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _beta_below(x: float, a: float, b: float) -> float:
    """Give the regularised incomplete beta function for 0 < x < 1."""
    # The continued fraction converges quickly on one side of the mean only; the other side is its mirror image.
    if x > (a + 1) / (a + b + 2):
        return 1.0 - _beta_below(1.0 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / (a * _beta_fraction(x, a, b))


def _beta_fraction(x: float, a: float, b: float) -> float:
    """Evaluate the continued fraction of the incomplete beta function from the front.

    **Source:** W. J. Lentz, Applied Optics 15 (1976), method; NIST DLMF 8.17.22, https://dlmf.nist.gov/8.17#E22, coefficients.
    """
    value, c, d = 1.0, 1.0, 0.0
    for step in range(1, 10_000):
        m = step // 2
        if step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1.0 / (_off_zero(1.0 + term * d))
        c = _off_zero(1.0 + term / c)
        value *= c * d
        if abs(c * d - 1.0) < 1e-15:  # noqa: PLR2004 - a float cannot do better
            break
    return value


def _off_zero(value: float) -> float:
    return value if abs(value) > 1e-300 else 1e-300  # noqa: PLR2004 - only divided by


def check_counts(bad: int, total: int) -> None:
    """Raise ValueError when counts of devices contradict each other."""
    if not 0 <= bad <= total:
        message = f"{bad} bad of {total} devices cannot be"
        raise ValueError(message)


def _check_some(total: int) -> None:
    if total == 0:
        message = "no devices, no interval"
        raise ValueError(message)


def _check_share(limit: float) -> None:
    if not 0 <= limit <= 1:
        message = f"{limit} is not a share from 0 to 1"
        raise ValueError(message)
