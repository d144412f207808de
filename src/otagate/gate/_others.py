"""Contrasts with control devices, splits against the weight, plain numbers against bounds. Pure.

A contrast and a split fail on evidence only, at planned looks too: the ratio of two small counts says nothing by itself.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction

from otagate.gate import stats
from otagate.gate._case import (
    Case,
    Finding,
    beyond_doubt,
    counts_of,
    demand_of,
    is_of_window,
    is_stale,
    percent,
    stale,
    tell,
    uncovered,
    without_counts,
)
from otagate.gate._limits import Limit
from otagate.gate.contrast import log_e_contrast
from otagate.gate.interface import ContrastRow, Measurement
from otagate.gate.look import Reading, Streak
from otagate.gate.split import log_e_split
from otagate.gate.verdict import Verdict
from otagate.model import FULL_WEIGHT
from otagate.policy.model.gates import GateSpec, Judgement, Split

SHORTEST_STREAK = timedelta(minutes=15)
"""A plain number must be out of bounds for so long before it acts, however often one looks in the meantime."""


# --- contrasts -----------------------------------------------------------------------------------------------------------


def find_contrast(case: Case, reading: Reading | None) -> Finding:
    """Judge a release against the devices that are served another one at the same time."""
    if not case.look.has_control:
        said = "the channel serves no other release, or the built-in bundle, beside this one: there is nothing to compare with"
        return Finding(Verdict.WARN if case.is_due else Verdict.INCONCLUSIVE, said)
    nothing = without_counts(case, reading)
    if nothing is not None or reading is None or not isinstance(reading.outcome, Measurement):
        return nothing or Finding(Verdict.ERROR, "this was not measured")
    wrong = _impossible(reading.outcome.rows)
    if wrong:
        return Finding(Verdict.ERROR, wrong)
    counts = counts_of(reading.outcome)
    if counts is None:
        return Finding(Verdict.NO_DATA, "the source knows no device of this release in this window")
    rows = [(row.bad, row.total, row.control_bad, row.control_total) for row in reading.outcome.rows]
    log_e = log_e_contrast(rows, float(case.limit.threshold))
    return replace(_weigh_contrast(case, reading, counts, log_e), log_e=log_e)


def control_of(measured: Measurement) -> tuple[int, int]:
    """Give the bad and all control devices."""
    return sum(row.control_bad for row in measured.rows), sum(row.control_total for row in measured.rows)


def _weigh_contrast(case: Case, reading: Reading, counts: tuple[int, int], log_e: float) -> Finding:
    rows = reading.outcome.rows if isinstance(reading.outcome, Measurement) else ()
    control = sum(row.control_bad for row in rows), sum(row.control_total for row in rows)
    told = f"{tell(counts)}, against {control[0]} of {control[1]} control devices"
    allowed = f"{percent(case.limit.threshold)} more"
    against = beyond_doubt(case, log_e, lambda: f"{told}: beyond doubt worse than {allowed}") if is_of_window(reading) else None
    if against is not None:
        return against
    old = stale(case, reading)
    if old is not None:
        return old
    if not case.is_due:
        return Finding(Verdict.INCONCLUSIVE, f"{told}: nothing against it so far, and its look is not due yet")
    # Devices that have nobody beside them, at the same time and alike, are compared with nothing.
    beside = sum(row.total for row in rows)
    if min(beside, control[1]) < case.spec.min_sample:
        said = f"{told}, {beside} of them side by side with those: {case.spec.min_sample} of each are needed to judge it"
        return Finding(Verdict.INSUFFICIENT, said)
    return uncovered(case, reading, told) or Finding(Verdict.PASS, f"{told}: no evidence of more than {allowed}")


def _impossible(rows: tuple[ContrastRow, ...]) -> str | None:
    for row in rows:
        if not (0 <= row.bad <= row.total and 0 <= row.control_bad <= row.control_total):
            return f"the source said {row.bad} of {row.total} and {row.control_bad} of {row.control_total}, which cannot be"
    return None


# --- splits --------------------------------------------------------------------------------------------------------------


def find_split(case: Case, reading: Reading | None) -> Finding:
    """Judge whether as many devices have the release as its weight says."""
    nothing = without_counts(case, reading)
    if nothing is not None or reading is None or not isinstance(reading.outcome, Measurement):
        return nothing or Finding(Verdict.ERROR, "this was not measured")
    counts = counts_of(reading.outcome)
    if counts is None:
        return Finding(Verdict.NO_DATA, "the source knows no device of this channel")
    log_e = _split_evidence(case, counts)
    return replace(_weigh_split(case, reading, counts, log_e), log_e=log_e)


def _split_evidence(case: Case, counts: tuple[int, int]) -> float:
    weight = case.look.weight_bps / FULL_WEIGHT
    if weight >= 1:
        return 0.0  # everybody may have it
    if case.spec.split is Split.EQUAL:
        return log_e_split((counts[0], counts[1] - counts[0]), (weight, 1 - weight))
    # The same devices are counted each hour, so one hour's evidence is no continuation of the last one's: each hour gets its
    # part of the budget, 1/(k (k + 1)) of it for the k-th, which add up to all of it.
    hour = 1 + max(0, int((case.now - case.look.soak_start).total_seconds() // 3600))
    return stats.log_e_up(*counts, weight) - math.log(hour * (hour + 1))


def _weigh_split(case: Case, reading: Reading, counts: tuple[int, int], log_e: float) -> Finding:
    bad, total = counts
    weight = percent(case.look.weight_bps / FULL_WEIGHT)
    told = f"{bad} of {total} devices have it ({percent(Fraction(bad, total))}), at a weight of {weight}"
    relation = "is not" if case.spec.split is Split.EQUAL else "is above"
    against = beyond_doubt(case, log_e, lambda: f"{told}: beyond doubt the share {relation} the weight")
    if against is not None and is_of_window(reading):
        return against
    old = stale(case, reading)
    if old is not None:
        return old
    if not case.is_due:
        return Finding(Verdict.INCONCLUSIVE, f"{told}: nothing against it so far, and its look is not due yet")
    if total < case.spec.min_sample:
        return Finding(Verdict.INSUFFICIENT, f"{told}: {case.spec.min_sample - total} more devices are needed to judge it")
    return Finding(Verdict.PASS, told)


# --- plain numbers -------------------------------------------------------------------------------------------------------


def next_streak(
    spec: GateSpec, reading: Reading | None, before: Streak | None, now: datetime, judgement: Judgement
) -> Streak | None:
    """Count this look: out of bounds, once more; within, none; without a number of now the streak stays what it was."""
    if spec.value is None:
        return None
    measured = reading.outcome if reading else None
    if reading is None or not isinstance(measured, Measurement) or measured.value is None or not math.isfinite(measured.value):
        return before
    if is_stale(reading, judgement):
        return before  # it was there when somebody looked before, or is about another release
    outside = (spec.value.max is not None and measured.value > spec.value.max) or (
        spec.value.min is not None and measured.value < spec.value.min
    )
    if not outside:
        return None
    return Streak(before.count + 1, before.since) if before else Streak(1, now)


def find_value(case: Case, reading: Reading | None) -> Finding:
    """Judge a plain number by one of its bounds."""
    nothing = without_counts(case, reading)
    if nothing is not None or reading is None or not isinstance(reading.outcome, Measurement):
        return nothing or Finding(Verdict.ERROR, "this was not measured")
    value = reading.outcome.value
    if value is None:
        return Finding(Verdict.NO_DATA, "the source has no number for this window")
    if not math.isfinite(value):
        return Finding(Verdict.ERROR, f"the source said {value}, which is no number")
    old = stale(case, reading)
    if old is not None:
        return old
    told = f"{value:.6g}, {case.limit.name} {case.limit.threshold}"
    if _breaks(case.limit, value):
        return _breach(case, told)
    if not case.is_due:
        return Finding(Verdict.INCONCLUSIVE, f"{told}: within its bound, and its look is not due yet")
    return uncovered(case, reading, told) or Finding(Verdict.PASS, f"{told}: within its bound")


def _breaks(limit: Limit, value: float) -> bool:
    return value > limit.threshold if limit.name == "max" else value < limit.threshold


def _breach(case: Case, told: str) -> Finding:
    streak, needed = case.streak, case.spec.consecutive
    count = streak.count if streak else 0
    if streak is not None and count >= needed and case.now - streak.since >= SHORTEST_STREAK:
        return Finding(Verdict.FAIL, f"{told}: out of bounds at {count} looks in a row", demand_of(case.limit.action))
    return Finding(Verdict.INCONCLUSIVE, f"{told}: out of bounds at {count} of {needed} looks in a row")
