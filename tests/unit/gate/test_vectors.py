"""Every published vector that we know of: what acts at run time is ours, what does not is written down in the tests.

``pytest -s`` shows how many there are, and from where.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from otagate.gate.contrast import log_e_contrast
from otagate.gate.sequence import confidence_sequence
from otagate.gate.split import log_e_split
from otagate.gate.stats import clopper_pearson, log_e_down, log_e_up, wilson
from support import other_statistics as other
from support import stitched_statistics as stitched

R_SHARES = "R (binom.test, prop.test, binom), scipy, statsmodels"
FAGERLAND = "Fagerland 2015, PropCIs"
CONFSEQ = "confseq"
SAVVI = "Lindon and Malek (savvi)"
GROWTHBOOK = "GrowthBook"
KAYENTA_R = "Kayenta, tied out with R"
KAYENTA = "Kayenta's judge"
OWN = "derived from the formulas by hand"


class Vector(NamedTuple):
    """One published input with its outputs; ``digits`` is half a unit in the last published place."""

    source: str
    function: Callable[..., Any]
    given: tuple[Any, ...]
    expected: tuple[Any, ...]
    digits: float


def one(function: Callable[..., Any], **named: Any) -> Callable[..., tuple[Any, ...]]:
    """Give a function's single result as a tuple."""
    return lambda *given: (function(*given, **named),)


def lower(function: Callable[..., tuple[float, float]]) -> Callable[..., tuple[float]]:
    """Give the one-sided 95 % lower end: that of the two-sided 90 % interval."""
    return lambda bad, total: (function(bad, total, 0.9)[0],)


def upper(function: Callable[..., tuple[float, float]]) -> Callable[..., tuple[float]]:
    return lambda bad, total: (function(bad, total, 0.9)[1],)


def p_split(counts: list[int], shares: list[float]) -> float:
    return math.exp(-log_e_split(counts, shares))


def series(bad: int, total: int, t_opt: float) -> tuple[float, float]:
    return confidence_sequence(bad, total, 0.05, t_opt)


def contrast(*rows: tuple[int, int, int, int]) -> float:
    return log_e_contrast(rows, 0.0)


def clopper_pearson_99(bad: int, total: int) -> tuple[float, float]:
    return clopper_pearson(bad, total, 0.99)


def lower_98(bad: int, total: int) -> float:
    return clopper_pearson(bad, total, 0.98)[0]


def upper_98(bad: int, total: int) -> float:
    return clopper_pearson(bad, total, 0.98)[1]


def wilson_99(bad: int, total: int) -> tuple[float, float]:
    return wilson(bad, total, 0.99)


SHARES = [
    Vector(R_SHARES, clopper_pearson, (20, 100), (0.1266555521019559, 0.2918426890886281), 1e-13),
    Vector(R_SHARES, upper(clopper_pearson), (20, 100), (0.2772002496709138,), 1e-13),
    Vector(R_SHARES, lower(clopper_pearson), (20, 100), (0.1366613252458672,), 1e-13),
    Vector(R_SHARES, clopper_pearson_99, (3, 50), (0.006872485, 0.202706269), 6e-10),
    Vector(R_SHARES, one(upper_98), (3, 50), (0.1872093,), 6e-8),
    Vector(R_SHARES, one(lower_98), (3, 50), (0.008860761,), 6e-10),
    Vector(R_SHARES, clopper_pearson, (0, 10), (0.0, 0.3084971), 6e-8),
    Vector(R_SHARES, upper(clopper_pearson), (0, 10), (0.2588656,), 6e-8),
    Vector(R_SHARES, clopper_pearson, (10, 10), (0.6915029, 1.0), 6e-8),
    Vector(R_SHARES, lower(clopper_pearson), (10, 10), (0.7411344,), 6e-8),
    Vector(R_SHARES, clopper_pearson, (4, 20), (0.05733399705003284, 0.436614002996668), 1e-13),
    Vector(R_SHARES, clopper_pearson, (18, 20), (0.6830172859809176, 0.9876514728297052), 1e-13),
    Vector(R_SHARES, clopper_pearson, (4, 200), (0.005475565879556443, 0.05041360908989634), 1e-13),
    Vector(R_SHARES, clopper_pearson, (100, 200), (0.4286584, 0.5713416), 6e-8),
    Vector(R_SHARES, lower(clopper_pearson), (100, 200), (0.439641,), 6e-7),
    Vector(R_SHARES, upper(clopper_pearson), (100, 200), (0.560359,), 6e-7),
    Vector(R_SHARES, wilson, (3, 10), (0.1077913, 0.6032219), 6e-8),
    Vector(R_SHARES, wilson_99, (3, 10), (0.07956632, 0.6799753), 6e-8),
    Vector(R_SHARES, upper(wilson), (3, 10), (0.5583002,), 6e-8),
    Vector(R_SHARES, lower(wilson), (3, 10), (0.1268766,), 6e-8),
    Vector(R_SHARES, wilson, (0, 10), (0.0, 0.2775328), 6e-8),
    Vector(R_SHARES, upper(wilson), (0, 10), (0.212942,), 6e-7),
    Vector(R_SHARES, lower(wilson), (10, 10), (0.787058,), 6e-7),
    Vector(R_SHARES, wilson, (4, 20), (0.0806576625797981, 0.4160174322518935), 1e-13),
    Vector(R_SHARES, wilson, (18, 20), (0.6989663547715128, 0.972133518786232), 1e-13),
    Vector(R_SHARES, wilson, (4, 200), (0.00780442641634947, 0.05028708690582643), 1e-13),
    Vector(R_SHARES, wilson, (19, 38), (0.348499283643951, 0.651500716356049), 1e-13),
    Vector(R_SHARES, other.jeffreys, (100, 200), (0.4311217, 0.5688783), 6e-8),
    Vector(R_SHARES, one(other.binomial_p), (9, 21, 0.48), (0.6689672431939,), 1e-12),
    Vector(R_SHARES, one(other.binomial_p), (4, 21, 0.48), (0.008139563452106,), 1e-12),
    Vector(R_SHARES, one(other.binomial_p), (3, 10, 0.5), (0.34375,), 1e-12),
    Vector(R_SHARES, one(other.binomial_p), (10, 10, 0.25), (9.536743e-07,), 1e-12),
    Vector(FAGERLAND, other.newcombe, (7, 34, 1, 34), (0.019, 0.340), 6e-4),
    Vector(FAGERLAND, other.risk_ratio, (7, 34, 1, 34), (1.220853, 42.575718), 6e-7),
]
SEQUENCES = [
    Vector(CONFSEQ, one(other.best_rho), (100, 0.05), (12.60056,), 1e-5),
    Vector(CONFSEQ, one(other.normal_mixture_bound, one_sided=False), (100, 0.05, 100), (30.35209,), 1e-5),
    Vector(CONFSEQ, one(other.normal_mixture_bound, one_sided=True), (100, 0.05, 100), (27.66071,), 1e-5),
    Vector(CONFSEQ, one(other.normal_log_mixture, one_sided=False), (10, 100, 100), (-0.6510052,), 1e-7),
    Vector(CONFSEQ, one(other.normal_log_mixture, one_sided=True), (10, 100, 100), (-0.06502391,), 1e-7),
    Vector(CONFSEQ, one(other.beta_binomial_log_mixture, one_sided=False), (10, 100, 100, 0.2, 0.8), (-0.6941012,), 1e-7),
    Vector(CONFSEQ, one(other.beta_binomial_bound, one_sided=False), (100, 0.05, 100, 0.2, 0.8), (31.4308,), 1e-5),
    Vector(CONFSEQ, one(other.beta_binomial_log_mixture, one_sided=True), (10, 100, 100, 0.2, 0.8), (-0.07134019,), 1e-7),
    Vector(CONFSEQ, one(other.beta_binomial_bound, one_sided=True), (100, 0.05, 100, 0.2, 0.8), (28.41238,), 1e-5),
    Vector(CONFSEQ, one(other.beta_binomial_bound, one_sided=True), (0.32, 0.05, 100, 0.2, 0.8), (1.6,), 1e-8),
    Vector(CONFSEQ, one(other.gamma_exponential_log_mixture), (10, 100, 100, 2), (-0.2490165,), 1e-7),
    Vector(CONFSEQ, one(other.gamma_exponential_bound), (100, 0.05, 100, 2), (33.02017,), 1e-5),
    Vector(CONFSEQ, one(other.gamma_poisson_log_mixture), (10, 100, 100, 2), (-0.06991219,), 1e-8),
    Vector(CONFSEQ, one(other.gamma_poisson_bound), (100, 0.05, 100, 2), (30.1949,), 1e-5),
    Vector(CONFSEQ, one(stitched.poly_stitching_bound), (100, 0.05, 10, 3), (64.48755,), 1e-5),
    Vector(CONFSEQ, one(stitched.poly_stitching_bound), (100, 0.05, 10, -1), (28.99389,), 1e-5),
    Vector(CONFSEQ, one(stitched.double_stitching_bound), (0.5, 1000, 0.05, 100), (68.62803,), 1e-5),
    Vector(CONFSEQ, one(stitched.double_stitching_bound), (0.9, 1000, 0.05, 100), (43.72119,), 1e-5),
    Vector(CONFSEQ, one(stitched.double_stitching_bound), (0.1, 1000, 0.05, 100), (59.96521,), 1e-5),
    Vector(CONFSEQ, one(stitched.empirical_process_bound), (1000, 0.05, 100, 0.85), (0.08204769,), 1e-6),
    *(
        Vector(CONFSEQ, one(stitched.quantile_p), (range(1000), range(later, 1000 + later), share, 100), (p,), 1e-6)
        for share, later, p in [(0.5, 70, 0.814704), (0.5, 85, 0.0838055), (0.5, 100, 0.0054947), (0.9, 55, 0.0340463)]
    ),
    # Its last digits are cut off, not rounded.
    Vector(CONFSEQ, series, (700, 1000, 100), (0.651629, 0.745949), 1e-6),
    Vector(CONFSEQ, series, (15, 50, 50), (0.129556, 0.511896), 1e-6),
    Vector(CONFSEQ, series, (5, 50, 50), (0.013021, 0.269264), 1e-6),
    Vector(CONFSEQ, series, (1, 50, 50), (0.0, 0.13489), 2e-6),
    Vector(CONFSEQ, series, (1, 2, 50), (0.0, 1.0), 1e-6),
    Vector(CONFSEQ, series, (100, 200, 1), (0.328923, 0.671076), 1e-6),
    Vector(CONFSEQ, series, (0, 1, 50), (0.0, 1.0), 1e-6),
    Vector(CONFSEQ, series, (1, 1, 50), (0.0, 1.0), 1e-6),
    Vector(SAVVI, one(p_split), ([148, 62], [0.8, 0.2]), (0.045579631759249686,), 1e-13),
    Vector(SAVVI, one(p_split), ([40, 129, 233], [0.1, 0.4, 0.5]), (0.04845591105969517,), 1e-13),
]
# Of shares the variance is p (1 - p), not the sample's.
SHARES_OF_TWO = [(bad, bad * bad / n + bad / n * (1 - bad / n) * (n - 1), n) for bad, n in ((1396, 3000), (2422, 3461))]
MEANS_OF_TWO = [(1396.87, 52377.9767, 3000), (2422.7, 134698.29, 3461)]
# The numbers of a report that a canary of another shape passes.
NARROW = [10, 10.1, 10.2, 10.3, 10.4, 10.5, 10.6, 17, 17.1, 17.2, 17.3, 17.4, 17.5, 17.6, 17.7]
WIDE = [1, 100, 4, 101, 5, 102, 6, 103, 7, 104, 8, 105, 9, 106, 17]
OTHERS = [
    Vector(GROWTHBOOK, other.asymptotic, (SHARES_OF_TWO, 5000), (0.50386, 0.40098, 0.60675), 6e-6),
    Vector(GROWTHBOOK, other.asymptotic, (MEANS_OF_TWO, 1000), (0.50336, -0.55844, 1.56516), 6e-6),
    Vector(
        GROWTHBOOK,
        lambda moments, n: other.asymptotic(moments, n, relative=False, sides=1)[1:],
        (MEANS_OF_TWO, 5000),
        (-0.12656844172804982, 0.5953217750613832),
        1e-13,
    ),
    Vector(KAYENTA, other.mann_whitney, ([10, 20, 30, 40], [1, 2, 3, 4]), (6.0, 39.0, 22.5), 1e-6),
    Vector(KAYENTA, one(other.NORMAL.inv_cdf), (0.02 / 2,), (-2.326348,), 6e-7),
    Vector(KAYENTA, one(other.mean_ratio), ([20, 22, 21, 25, 30], [1, 2.2, 1.1, 2.5, 3]), (12.04,), 6e-3),
    Vector(KAYENTA, one(other.score), ([("a", "Pass", False)], {}), (100.0,), 0),
    Vector(KAYENTA, one(other.score), ([("a", "High", False)], {}), (0.0,), 0),
    Vector(KAYENTA, one(other.score), ([("a", "Nodata", False)], {}), (0.0,), 0),
    Vector(KAYENTA, one(other.score), ([("a", "Pass", False)] * 2 + [("b", "Nodata", False)], {}), (100.0,), 0),
    Vector(KAYENTA, one(other.score), ([("a", "Pass", False), ("a", "High", False)], {}), (50.0,), 0),
    Vector(KAYENTA, one(other.score), ([("a", label, False) for label in ("Pass", "High", "Low")], {}), (33.33,), 0),
    Vector(
        KAYENTA,
        one(other.score),
        ([("a", "Pass", False)] * 2 + [("b", "High", False)], {"a": 75, "b": 25}),
        (75.0,),
        0,
    ),
    Vector(
        KAYENTA,
        one(other.score),
        ([("a", "Pass", False), ("a", "High", False), ("b", "High", False)], {"a": 50, "b": 50}),
        (25.0,),
        0,
    ),
    Vector(
        KAYENTA,
        one(other.score),
        ([("a", "Pass", False), ("a", "Nodata", False), ("b", "High", False)], {"a": 50, "b": 50}),
        (50.0,),
        0,
    ),
    Vector(KAYENTA, one(other.score), ([("a", "Pass", False), ("a", "High", True)], {}), (0.0,), 0),
    Vector(KAYENTA, one(other.score), ([("a", "Low", False), ("a", "Pass", True)], {}), (50.0,), 0),
    Vector(KAYENTA, one(other.score), ([("a", "Pass", False), ("a", "Nodata", True)], {}), (0.0,), 0),
    Vector(
        KAYENTA,
        one(other.score),
        ([("a", "High", False), ("a", "Low", False), ("a", "Pass", False), ("b", "High", False)], {"a": 15, "b": 85}),
        (5.0,),
        0,
    ),
    # Why shares of devices are not judged by ranks: what people reported as missed is still missed.
    Vector(KAYENTA, other.classify, ([0, 1, 2, 1, 0, 0], [0] * 6), ("Pass", False), 0),
    Vector(KAYENTA, other.classify, (NARROW, WIDE), ("Pass", False), 0),
    Vector(KAYENTA, other.classify, ([100] * 7 + [1] * 3, [1] * 10), ("Pass", False), 0),
    Vector(KAYENTA, other.classify, ([100] * 8 + [1] * 2, [1] * 10), ("High", False), 0),
    Vector(
        KAYENTA,
        lambda x, y: other.mann_whitney(x, y, 0.98),
        ([100] * 7 + [1] * 3, [1] * 10),
        (6.825022991538781e-5, 99.0, 98.99992904170193),
        1e-9,
    ),
]
DERIVED = [
    *(
        Vector(OWN, one(log_e_up), (bad, total, 0.02), (expected,), 1e-6)
        for bad, total, expected in [
            (0, 100, -2.362522),
            (1, 10, 0.476138),
            (3, 10, 4.760488),
            (5, 100, 0.572988),
            (9, 100, 5.483085),
            (17, 300, 5.298901),
            (40, 1000, 5.895406),
        ]
    ),
    *(
        Vector(OWN, one(log_e_down), (bad, total, 0.02), (expected,), 1e-6)
        for bad, total, expected in [(0, 149, 2.498637), (0, 177, 2.996848), (1, 300, 2.764587), (5, 1000, 6.940798)]
    ),
    Vector(OWN, one(contrast), ((5, 100, 10, 1900),), (5.126389,), 1e-6),
    Vector(OWN, one(contrast), ((5, 100, 10, 1900), (4, 100, 9, 1900)), (9.274239,), 1e-6),
    Vector(OWN, one(contrast), ((1, 100, 10, 1900),), (-0.439920,), 1e-6),
]
VECTORS = [*SHARES, *SEQUENCES, *OTHERS, *DERIVED]

FOUND = json.loads((Path(__file__).parents[2] / "data" / "kayenta_vectors.json").read_text())
INTERVALS: list[dict[str, Any]] = FOUND["intervals"]
CLASSIFIED: list[dict[str, Any]] = FOUND["classified"]
STATISTICS: list[dict[str, Any]] = FOUND["statistics"]
LONG = ("a16", "a17")


GATES = (Path(__file__).parents[3] / "docs" / "gates.md").read_text("utf-8")
DRAWS: dict[str, str] = json.loads((Path(__file__).parents[2] / "data" / "savvi_draws.json").read_text())


def array(name: str | list[float]) -> list[float]:
    found = FOUND["arrays"][name] if isinstance(name, str) else name
    return [float(value) for value in found]


def looks(name: str) -> list[list[int]]:
    """Give the counts of each group after every unit that was drawn."""
    groups = sorted(set(DRAWS[name]))
    return [[DRAWS[name][:seen].count(group) for group in groups] for seen in range(1, len(DRAWS[name]) + 1)]


def inside_of_all(ends: list[tuple[float, float]]) -> tuple[float, float]:
    """Give what intervals that hold together have in common."""
    return max(low for low, _ in ends), min(high for _, high in ends)


def vector_id(vector: Vector) -> str:
    return f"{vector.source[:10]}-{getattr(vector.function, '__name__', '')}-{str(vector.given)[:40]}"


@pytest.mark.parametrize("vector", VECTORS, ids=vector_id)
def test_published_vector(vector: Vector) -> None:
    found = vector.function(*vector.given)
    assert len(found) == len(vector.expected)
    for value, expected in zip(found, vector.expected, strict=True):
        assert value == expected or value == pytest.approx(expected, abs=vector.digits, rel=1e-13)


@pytest.mark.parametrize(("name", "shares", "stops"), [("three", [0.1, 0.4, 0.5], 402), ("two", [0.8, 0.2], 210)])
def test_a_split_is_found_out_at_the_published_unit(name: str, shares: list[float], stops: int) -> None:
    needed = math.log(20)
    assert next(sum(counts) for counts in looks(name) if log_e_split(counts, shares) >= needed) == stops


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (0, (0.056684768115202705, 0.1493967591525672)),
        (1, (0.2608987241982874, 0.4028302603098119)),
        (2, (0.4971209299792429, 0.6517617329309116)),
    ],
)
def test_sequences_of_three_shares(place: int, expected: tuple[float, float]) -> None:
    # Their solver gives some seven digits.
    ends = [stitched.share_sequence(counts, [0.1, 0.4, 0.5], place) for counts in looks("three") if all(counts)]
    assert inside_of_all(ends) == pytest.approx(expected, abs=1e-6)


def test_the_sequence_of_a_log_ratio() -> None:
    ends = [stitched.log_ratio_sequence((first, second), (0.8, 0.2)) for first, second in looks("two") if first and second]
    assert inside_of_all(ends) == pytest.approx((0.00464625, 0.75493987), abs=1e-6)


@pytest.mark.parametrize("case", STATISTICS, ids=lambda case: str(case["name"]))
def test_statistics_of_a_canary_judge(case: dict[str, Any]) -> None:
    found = getattr(other, case["function"])(*case["given"])
    if case["expected"] is None:
        assert math.isnan(found)
    else:
        assert found == case["expected"] or found == pytest.approx(case["expected"], abs=case["digits"], rel=1e-13)


@pytest.mark.parametrize(("shift", "expected"), [(0, -1.229416), (5, -35.80606)])
def test_rank_sums_of_many_ties(shift: float, expected: float) -> None:
    assert other.wilcoxon(shift, 0, *(array(name) for name in LONG)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("case", INTERVALS, ids=lambda case: str(case["name"]))
def test_intervals_tie_out_with_r(case: dict[str, Any]) -> None:
    values = case["values"]
    low, high, estimate = other.mann_whitney(array(case["experiment"]), array(case["control"]), case["confidence"])
    assert low == pytest.approx(values.get("rCiLow", values.get("rCil")), abs=1e-6)
    assert high == pytest.approx(values.get("rCiHigh", values.get("rCiu")), abs=1e-6)
    assert estimate == pytest.approx(values["rEst"], abs=1e-4)


def test_intermediate_values_tie_out_with_r() -> None:
    (case,) = (case for case in INTERVALS if "rMumin" in case["values"])
    x, y, values = array(case["experiment"]), array(case["control"]), case["values"]
    least, most, quantile = min(x) - max(y), max(x) - min(y), other.NORMAL.inv_cdf(0.975)
    found = [least, most, quantile, -quantile]
    found += [other.wilcoxon(shift, zq, x, y) for zq in (quantile, -quantile) for shift in (least, most)]
    names = ("rMumin", "rMumax", "rZqLower", "rZqUpper", "rFlower1", "rFupper1", "rFlower2", "rFupper2")
    assert found == pytest.approx([values[name] for name in names], abs=1e-9)


@pytest.mark.parametrize("case", CLASSIFIED, ids=lambda case: str(case["name"]))
def test_labels_of_a_canary_judge(case: dict[str, Any]) -> None:
    kept = {"name", "label", "is_critical", "experiment", "control"}
    options = {name: value for name, value in case.items() if name not in kept}
    label, is_critical = other.classify(array(case["experiment"]), array(case["control"]), **options)
    assert label == case["label"]
    assert case["is_critical"] in {None, is_critical}


@pytest.mark.parametrize(("bad", "total"), [(38, 38), (0, 77)])
def test_wilson_stays_inside_where_others_left(bad: int, total: int) -> None:
    low, high = wilson(bad, total)
    assert 0 <= low < high <= 1


def test_what_ranks_miss_counts_see() -> None:
    # The same numbers as counts of devices: four bad ones of six, against none of six.
    assert other.classify([0, 1, 2, 1, 0, 0], [0] * 6)[0] == "Pass"
    assert log_e_up(4, 6, 0.02) > math.log(1000)


def test_there_are_as_many_vectors_as_we_say() -> None:
    counted = Counter(vector.source for vector in VECTORS)
    counted[KAYENTA] += len(CLASSIFIED) + len(STATISTICS)
    counted[KAYENTA] += sum(len(case["values"]) for case in INTERVALS if not case.get("by_r", True))
    counted[SAVVI] += 6  # two units, four sequences
    counted[KAYENTA] += 2  # rank sums of many ties
    counted[KAYENTA_R] += sum(len(case["values"]) for case in INTERVALS if case.get("by_r", True))
    counted["statsmodels, issue 7386"] += 2
    for source, number in sorted(counted.items()):
        print(f"{number:4} {source}")
    published = counted.total() - counted[OWN]
    print(f"{published} published vectors reproduced, and {counted[OWN]} derived ones")
    assert f"\n{published} published numbers are reproduced by the tests, and {counted.pop(OWN)} that were derived" in GATES
    table = GATES[GATES.index("<!-- vectors -->") : GATES.index("<!-- end of vectors -->")]
    assert {source: int(number) for number, source in re.findall(r"^\| (\d+) \| (.*) \|$", table, re.MULTILINE)} == counted
