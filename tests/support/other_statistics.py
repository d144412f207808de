"""Statistics that other tools gate on, written from their formulas; only tests use them.

They are here so that every published vector that we know of is reproduced, and so that the reasons for not using them are shown.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import NormalDist, fmean, pstdev, quantiles, variance

from otagate.gate import stats

NORMAL = NormalDist()


# Shares


def jeffreys(bad: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Beta quantiles with half a device added to each side."""
    tail = (1 - confidence) / 2
    a, b = bad + 0.5, total - bad + 0.5
    return stats._beta_quantile(tail, a, b), stats._beta_quantile(1 - tail, a, b)


def newcombe(bad: int, total: int, other_bad: int, other_total: int) -> tuple[float, float]:
    """Difference of two shares, from the Wilson limits of each."""
    first, second = bad / total, other_bad / other_total
    (low_1, high_1), (low_2, high_2) = stats.wilson(bad, total), stats.wilson(other_bad, other_total)
    gap = first - second
    return gap - math.hypot(first - low_1, high_2 - second), gap + math.hypot(high_1 - first, second - low_2)


def risk_ratio(bad: int, total: int, other_bad: int, other_total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score limits of the ratio of two shares: where the constrained chi-squared crosses its quantile."""
    needed = NORMAL.inv_cdf((1 + confidence) / 2) ** 2

    def chi(ratio: float) -> float:
        a = (total + other_total) * ratio
        b = -(total * ratio + bad + other_total + other_bad * ratio)
        second = (-b - math.sqrt(b * b - 4 * a * (bad + other_bad))) / (2 * a)
        first = ratio * second
        far_1 = (bad - total * first) ** 2 / (total * first * (1 - first))
        return far_1 + (other_bad - other_total * second) ** 2 / (other_total * second * (1 - second))

    middle = (bad / total) / (other_bad / other_total)
    low = bisect(lambda ratio: chi(ratio) - needed, 1e-9, middle)
    return low, bisect(lambda ratio: chi(ratio) - needed, middle, middle * 1e4)


def binomial_p(bad: int, total: int, share: float) -> float:
    """Two-sided: all counts that are no likelier than the observed one."""
    chances = [math.comb(total, x) * share**x * (1 - share) ** (total - x) for x in range(total + 1)]
    return math.fsum(chance for chance in chances if chance <= chances[bad] * (1 + 1e-7))


def bisect(f: Callable[[float], float], low: float, high: float) -> float:
    """Find where ``f`` changes its sign."""
    sign = f(low) > 0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if (f(middle) > 0) == sign else (low, middle)
    return (low + high) / 2


# Mixtures of Howard, Ramdas, McAuliffe and Sekhon: s is the sum of deviations, v its variance process.


def best_rho(v: float, alpha: float) -> float:
    return v / (2 * math.log(1 / alpha) + math.log(1 + 2 * math.log(1 / alpha)))


def _rho(v_opt: float, *, one_sided: bool) -> float:
    return best_rho(v_opt, 0.1 if one_sided else 0.05)


def normal_log_mixture(s: float, v: float, v_opt: float, *, one_sided: bool) -> float:
    rho = _rho(v_opt, one_sided=one_sided)
    value = 0.5 * math.log(rho / (v + rho)) + s * s / (2 * (v + rho))
    return value + math.log(2 * NORMAL.cdf(s / math.sqrt(v + rho))) if one_sided else value


def normal_mixture_bound(v: float, alpha: float, v_opt: float, *, one_sided: bool) -> float:
    if one_sided:
        return bisect(lambda s: normal_log_mixture(s, v, v_opt, one_sided=True) + math.log(alpha), 0, 10 * v)
    rho = _rho(v_opt, one_sided=False)
    return math.sqrt((v + rho) * (math.log(1 + v / rho) + 2 * math.log(1 / alpha)))


def _log_beta(a: float, b: float, x: float) -> float:
    whole = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return whole if x == 1 else whole + math.log(stats._beta_below(x, a, b))


def beta_binomial_log_mixture(s: float, v: float, v_opt: float, g: float, h: float, *, one_sided: bool) -> float:
    r = max(_rho(v_opt, one_sided=one_sided) - g * h, 1e-3 * g * h)
    x = h / (g + h) if one_sided else 1
    value = v / (g * h) * math.log(g + h)
    value -= (v + h * s) / (h * (g + h)) * math.log(g) + (v - g * s) / (g * (g + h)) * math.log(h)
    value += _log_beta((r + v - g * s) / (g * (g + h)), (r + v + h * s) / (h * (g + h)), x)
    return value - _log_beta(r / (g * (g + h)), r / (h * (g + h)), x)


def beta_binomial_bound(v: float, alpha: float, v_opt: float, g: float, h: float, *, one_sided: bool) -> float:
    return bisect(
        lambda s: beta_binomial_log_mixture(s, v, v_opt, g, h, one_sided=one_sided) + math.log(alpha), 0, v / g * (1 - 1e-9)
    )


def _gamma_below(a: float, x: float) -> float:
    """Regularised lower incomplete gamma function, by its series."""
    term = total = 1 / a
    step = 0
    while term > total * 1e-17:
        step += 1
        term *= x / (a + step)
        total += term
    return total * math.exp(a * math.log(x) - x - math.lgamma(a))


def gamma_exponential_log_mixture(s: float, v: float, v_opt: float, c: float) -> float:
    rho = _rho(v_opt, one_sided=True)
    k = rho / c**2
    lead = k * math.log(k) - math.lgamma(k) - math.log(_gamma_below(k, k))
    a, x = (v + rho) / c**2, (c * s + v + rho) / c**2
    tilt = (c * s + v) / c**2
    return lead + math.lgamma(a) + math.log(_gamma_below(a, x)) - a * math.log(x) + tilt


def gamma_exponential_bound(v: float, alpha: float, v_opt: float, c: float) -> float:
    return bisect(lambda s: gamma_exponential_log_mixture(s, v, v_opt, c) + math.log(alpha), 0, 10 * v)


def gamma_poisson_log_mixture(s: float, v: float, v_opt: float, c: float) -> float:
    rho = _rho(v_opt, one_sided=True)
    k = rho / c**2
    lead = k * math.log(k) - math.lgamma(k) - math.log(1 - _gamma_below(k, k))
    x = (v + rho) / c**2
    a = s / c + x
    return lead + math.lgamma(a) + math.log(1 - _gamma_below(a, x)) - a * math.log(x) + v / c**2


def gamma_poisson_bound(v: float, alpha: float, v_opt: float, c: float) -> float:
    return bisect(lambda s: gamma_poisson_log_mixture(s, v, v_opt, c) + math.log(alpha), 0, 10 * v)


def asymptotic(
    moments: Sequence[tuple[float, float, int]], n_star: float, *, relative: bool = True, sides: int = 2
) -> tuple[float, float, float]:
    """Estimate and asymptotic confidence sequence of a difference of means; moments are (sum, sum of squares, n) of a and b."""
    (mean_a, var_a, n_a), (mean_b, var_b, n_b) = ((s / n, (ss - s * s / n) / (n - 1), n) for s, ss, n in moments)
    spread = var_b / n_b + var_a / n_a
    gap = mean_b - mean_a
    if relative:
        spread = var_b / (mean_a**2 * n_b) + var_a * mean_b**2 / (mean_a**4 * n_a)
        gap /= mean_a
    n, alpha = n_a + n_b, 0.05
    weight = -2 * math.log(alpha if sides == 2 else 2 * alpha)
    rho2 = (weight + math.log(weight + 1)) / n_star
    doubt = math.log(math.sqrt(n * rho2 + 1) / alpha) if sides == 2 else math.log(1 + math.sqrt(n * rho2 + 1) / (2 * alpha))
    half = math.sqrt(spread * n * 2 * (n * rho2 + 1) * doubt / (n * n * rho2))
    return gap, gap - half, gap + half


# Mann and Whitney's test as canary judges use it


def ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1; ties share their mean."""
    order = sorted(range(len(values)), key=values.__getitem__)
    found = [0.0] * len(values)
    start = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or values[order[end]] != values[order[start]]:
            for place in order[start:end]:
                found[place] = (start + end + 1) / 2
            start = end
    return found


def wilcoxon(shift: float, quantile: float, x: Sequence[float], y: Sequence[float]) -> float:
    """Normal score of the rank sum of ``x - shift``, corrected for ties and continuity, less a quantile."""
    m, n = len(x), len(y)
    found = ranks([*(value - shift for value in x), *y])
    far = math.fsum(found[:m]) - m * (m + 1) / 2 - m * n / 2
    ties = sum(count**3 - count for count in Counter(found).values())
    spread = math.sqrt(m * n / 12 * (m + n + 1 - ties / ((m + n) * (m + n - 1))))
    return (far - math.copysign(0.5, far) * (far != 0)) / spread - quantile


def root(f: Callable[[float], float], low: float, high: float, tolerance: float = 1e-4) -> float:
    """Brent's method: the sections below are what decides the last digits of a step function's root."""
    a, b, f_a, f_b = low, high, f(low), f(high)
    c, f_c = a, f_a
    if f_a == 0:
        return a
    while f_b != 0:
        before = b - a
        if abs(f_c) < abs(f_b):
            a, b, c = b, c, b
            f_a, f_b, f_c = f_b, f_c, f_b
        least = 4.440892098500626e-16 * abs(b) + tolerance / 2
        step = (c - b) / 2
        if abs(step) <= least:
            break
        if abs(before) >= least and abs(f_a) > abs(f_b):
            step = _interpolated(step, before, least, (a, b, c), (f_a, f_b, f_c))
        if abs(step) < least:
            step = math.copysign(least, step)
        a, f_a = b, f_b
        b += step
        f_b = f(b)
        if f_b * f_c > 0:
            c, f_c = a, f_a
    return b


def _interpolated(
    step: float, before: float, least: float, points: tuple[float, float, float], values: tuple[float, float, float]
) -> float:
    (a, b, c), (f_a, f_b, f_c) = points, values
    t = f_b / f_a
    if a == c:
        p, q = (c - b) * t, 1 - t
    else:
        u, w = f_a / f_c, f_b / f_c
        p = t * ((c - b) * u * (u - w) - (b - a) * (w - 1))
        q = (u - 1) * (w - 1) * (t - 1)
    p, q = abs(p), -q if p > 0 else q
    fits = p < 0.75 * (c - b) * q - abs(least * q) / 2 and p < abs(before * q / 2)
    return p / q if fits else step


def mann_whitney(x: Sequence[float], y: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """Confidence interval and Hodges-Lehmann estimate of the shift from ``y`` to ``x``."""
    least, most = min(x) - max(y), max(x) - min(y)
    quantile = NORMAL.inv_cdf((1 + confidence) / 2)

    def edge(zq: float) -> float:
        if wilcoxon(least, zq, x, y) <= 0:
            return least
        if wilcoxon(most, zq, x, y) >= 0:
            return most
        return root(lambda shift: wilcoxon(shift, zq, x, y), least, most)

    return edge(quantile), edge(-quantile), root(lambda shift: wilcoxon(shift, 0, x, y), least, most)


def mean_ratio(x: Sequence[float], y: Sequence[float]) -> float:
    over, under = fmean(x), fmean(y)
    return over / under if over and under else math.nan


def cles(x: Sequence[float], y: Sequence[float]) -> float:
    """Chance that a value of ``x`` is larger than one of ``y``; ties count half."""
    m, n = len(x), len(y)
    return (2 * math.fsum(ranks([*x, *y])[:m]) - m * (m + 1)) / (2 * m * n)


def classify(
    x: Sequence[float],
    y: Sequence[float],
    *,
    tolerance: float = 0.25,
    confidence: float = 0.98,
    direction: str = "either",
    allowed: Sequence[float] = (1.0, 1.0),
    limits: Sequence[float] = (1.0, 1.0),
    measure: str = "meanRatio",
    replace: bool = False,
    critical: bool = False,
) -> tuple[str, bool]:
    """Label one metric as a canary judge does, and tell whether it fails the canary by itself."""
    if not x or not y:
        return ("Pass", False) if replace else ("Nodata", critical)
    if sorted(x) == sorted(y):
        return "Pass", False
    if len(set(x)) == len(set(y)) == 1:  # noise is added there so that ranks differ; any distinct values have the same order
        x = [x[0] * (1 + 1e-6 * (k - len(x) / 2)) for k in range(len(x))]
        y = [y[0] * (1 + 1e-6 * (k - len(y) / 2)) for k in range(len(y))]
    low, high, estimate = mann_whitney(x, y, confidence)
    band = tolerance * abs(estimate)
    effect = cles(x, y) if measure == "cles" else mean_ratio(x, y)
    unknown = math.isnan(effect)
    if direction != "decrease" and low > band and (unknown or effect >= allowed[1]):
        return "High", critical and (unknown or effect >= limits[1])
    if direction != "increase" and high < -band and (unknown or effect <= allowed[0]):
        return "Low", critical and (unknown or effect <= limits[0])
    return "Pass", False


def cohens_d(x: Sequence[float], y: Sequence[float]) -> float:
    """Distance of the means in pooled standard deviations."""
    m, n = len(x), len(y)
    pooled = ((m - 1) * variance(x) + (n - 1) * variance(y)) / (m + n - 2)
    return abs(fmean(x) - fmean(y)) / math.sqrt(pooled)


def percentile(values: Sequence[float], percent: int) -> float:
    """Interpolate linearly between the neighbours, as R's type 7 does."""
    return max(values) if percent == 100 else quantiles(values, n=100, method="inclusive")[percent - 1]


def beyond_quartiles(values: Sequence[float], factor: float) -> list[int]:
    """Places of the outliers by Tukey's fences. A canary judge may take them out: with rare errors, it takes out the errors."""
    if not values:
        return []
    low, high = percentile(values, 25), percentile(values, 75)
    reach = factor * (high - low)
    return [place for place, value in enumerate(values) if not low - reach <= value <= high + reach]


def beyond_sigmas(values: Sequence[float], factor: float) -> list[int]:
    """Places of the values that are further from the mean than so many standard deviations."""
    middle, reach = fmean(values), factor * pstdev(values)
    return [place for place, value in enumerate(values) if abs(value - middle) > reach]


def score(metrics: Sequence[tuple[str, str, bool]], weights: dict[str, float]) -> float:
    """Sum up labels: metrics are (group, label, critical)."""
    if any(critical and label != "Pass" for _, label, critical in metrics):
        return 0.0
    if sum(label == "Nodata" for _, label, _ in metrics) * 2 >= len(metrics):
        return 0.0
    groups = {group: Counter(label for name, label, _ in metrics if name == group) for group, _, _ in metrics}
    rest = [group for group in groups if group not in weights]
    each = (100 - sum(weights.values())) / len(rest) if rest else 0.0
    total = 0.0
    for group, labels in groups.items():
        judged = labels["Pass"] + labels["High"] + labels["Low"] + labels["NodataFailMetric"]
        total += weights.get(group, each) * (labels["Pass"] / judged if judged else 1)
    return round(total, 2)
