"""More sequential bounds of Howard and Ramdas, and intervals of Lindon and Malek: only tests use them.

They are no part of the product. They stand here so that every published number of the libraries that our formulas come from
is reproduced.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

from support.other_statistics import beta_binomial_log_mixture, bisect

_S, _ETA, _DELTA = 1.4, 2.0, 0.5
_K1, _K2 = (_ETA**0.25 + _ETA**-0.25) / math.sqrt(2), (math.sqrt(_ETA) + 1) / 2


def _zeta(s: float) -> float:
    # By Euler and Maclaurin: the sum itself converges too slowly at 1.4.
    n = 1000.0
    head = math.fsum(math.pow(k, -s) for k in range(1, 1000))
    return head + math.pow(n, 1 - s) / (s - 1) + math.pow(n, -s) / 2 + s * math.pow(n, -s - 1) / 12


def poly_stitching_bound(v: float, alpha: float, v_min: float, c: float) -> float:
    use = max(v, v_min)
    ell = _S * math.log(math.log(_ETA * use / v_min)) + math.log(_zeta(_S) / math.log(_ETA) ** _S) + math.log(1 / alpha)
    return math.sqrt(_K1 * _K1 * use * ell + (_K2 * c * ell) ** 2) + _K2 * c * ell


def double_stitching_bound(quantile: float, t: float, alpha: float, t_opt: float) -> float:
    """Bound a quantile of all times and all quantiles together."""
    use = max(t, t_opt)
    logit = math.log(quantile / (1 - quantile))
    moved = logit + 2 * _DELTA * math.sqrt(t_opt * _ETA / use)
    r = quantile if quantile >= 0.5 else min(0.5, 1 / (1 + math.exp(-moved)))
    j = math.sqrt(use / t_opt) * abs(logit) / (2 * _DELTA) + 1
    zeta = _zeta(_S)
    ell = _S * math.log(math.log(_ETA * use / t_opt)) + _S * math.log(j)
    ell += math.log(2 * zeta * (2 * zeta + 1) / (alpha * math.log(_ETA) ** _S))
    spread, tail = r * (1 - r), _K2 * (1 - 2 * quantile) / 3 * ell
    grid = _DELTA * math.sqrt(_ETA * use * spread / t_opt)
    return grid + math.sqrt(_K1 * _K1 * spread * use * ell + tail * tail) + tail


def _lowest(f: Callable[[float], float], low: float, high: float) -> float:
    """Give the place of the least value of a function with one valley, by the golden section."""
    golden = (math.sqrt(5) - 1) / 2
    for _ in range(100):
        near, far = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, far) if f(near) <= f(far) else (near, high)
    return (low + high) / 2


def empirical_process_bound(t: float, alpha: float, t_min: float, scale: float) -> float:
    """Bound the distance of an empirical distribution function at all times by an iterated logarithm."""

    def risk(constant: float, eta: float) -> float:
        gap = scale - math.sqrt(2 * (eta - 1) / constant)
        gamma = 2 / eta * gap * gap
        if gap < 0 or gamma <= 1:
            return math.inf
        return 4 * math.exp(-gamma * constant) * (1 + 1 / ((gamma - 1) * math.log(eta)))

    def least(constant: float) -> float:
        most = bisect(
            lambda eta: math.sqrt(eta / 2) + math.sqrt(2 * (eta - 1) / constant) - scale, 1 + 1e-15, 2 * scale * scale
        )
        return risk(constant, _lowest(lambda eta: risk(constant, eta), 1 + 1e-12, most))

    constant = bisect(lambda constant: least(constant) - alpha, 1, 100)
    return scale * math.sqrt((math.log(1 + math.log(t / t_min)) + constant) / t)


def quantile_p(first: Sequence[float], second: Sequence[float], quantile: float, t_opt: float) -> float:
    """Give the always-valid p-value of "both have the same quantile"."""
    evidence = [_against(values, quantile, t_opt) for values in (first, second)]
    lowest = min(sum(one(x) for one in evidence) for x in {*first, *second})
    return min(1.0, math.exp(-lowest))


def _against(values: Sequence[float], quantile: float, t_opt: float) -> Callable[[float], float]:
    n, spread = len(values), quantile * (1 - quantile)

    def log_mixture(below: float) -> float:
        s, v = (below - quantile) * n, spread * n
        return beta_binomial_log_mixture(s, v, t_opt * spread, quantile, 1 - quantile, one_sided=False)

    least = _lowest(log_mixture, 0, 1)
    ordered = sorted(values)
    start, end = ordered[math.ceil(least * n) - 1], ordered[math.floor(least * n)]

    def evidence(x: float) -> float:
        if start <= x <= end:
            return log_mixture(least)
        return log_mixture((bisect_right if x < start else bisect_left)(ordered, x) / n)

    return evidence


# Lindon and Malek


def _log_beta(parts: Sequence[float]) -> float:
    return math.fsum(math.lgamma(part) for part in parts) - math.lgamma(math.fsum(parts))


def share_sequence(counts: Sequence[int], shares: Sequence[float], place: int, alpha: float = 0.05) -> tuple[float, float]:
    """Confidence sequence of one share of several, from a Dirichlet mixture with a concentration of 100."""
    prior = [100 * share for share in shares]
    needed = _log_beta([a + count for a, count in zip(prior, counts, strict=True)]) - _log_beta(prior) + math.log(alpha)
    count, others = counts[place], sum(counts) - counts[place]
    # Given one share, the likelihood is highest where the others are as they were counted.
    rest = math.fsum(other * math.log(other / others) for at, other in enumerate(counts) if at != place and other)

    def over(share: float) -> float:
        return count * math.log(share) + others * math.log(1 - share) + rest - needed

    middle = count / (count + others)
    return bisect(over, 1e-12, middle), bisect(over, middle, 1 - 1e-12)


def log_ratio_sequence(counts: tuple[int, int], shares: tuple[float, float], alpha: float = 0.05) -> tuple[float, float]:
    """Confidence sequence of the logarithm of the second rate over the first, where exposure is split by ``shares``."""
    low, high = share_sequence(counts, shares, 1, alpha)
    first, second = shares
    return math.log(low / (1 - low) * first / second), math.log(high / (1 - high) * first / second)
