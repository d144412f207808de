"""Shares of bad devices against a limit. Pure; the order of questions is that of docs/gates.md."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

from otagate.gate import stats
from otagate.gate._case import (
    Case,
    Finding,
    beyond_doubt,
    counts_of,
    demand_of,
    is_of_window,
    percent,
    stale,
    tell,
    uncovered,
    without_counts,
)
from otagate.gate._limits import Limit
from otagate.gate.interface import Measurement
from otagate.gate.look import Reading, question
from otagate.gate.verdict import Verdict


def find(case: Case, reading: Reading | None) -> Finding:
    """Judge one limit on a share."""
    nothing = without_counts(case, reading)
    measured = reading.outcome if reading else None
    counts = counts_of(measured) if isinstance(measured, Measurement) else None
    log_e = log_e_above(counts, measured.pending, case.limit) if counts and isinstance(measured, Measurement) else None
    below = stats.log_e_down(*counts, float(case.limit.threshold)) if counts and case.spec.prove else None
    if nothing is not None or reading is None:
        found = nothing or Finding(Verdict.ERROR, "this was not measured")
    elif counts is None or log_e is None:
        found = Finding(Verdict.NO_DATA, _nobody(_pending(reading)))
    else:
        found = _weigh(case, reading, counts, log_e, below)
    return replace(found, log_e=log_e, log_e_below=below)


def log_e_above(counts: tuple[int, int], pending: int, limit: Limit) -> float:
    """Weigh the evidence that too many devices are bad: those whose fate is not known yet count as not bad.

    A broken download tells at once that it is one, a good one when the app is opened again. Among those that are known
    there are too many bad ones at first, and no test over them alone would keep its promise.
    """
    bad, total = counts
    return stats.log_e_up(bad, total + pending, float(limit.threshold))


def _weigh(case: Case, reading: Reading, counts: tuple[int, int], log_e: float, below: float | None) -> Finding:
    told = tell(counts, _pending(reading))
    # Old counts of this window are still evidence against the release: a release that breaks devices also silences them.
    said = f"{told}: beyond doubt more than the {percent(case.limit.threshold)} that the limit allows"
    against = beyond_doubt(case, log_e, lambda: said) if is_of_window(reading) else None
    old = stale(case, reading)
    if old is not None:
        return against or old
    if not case.is_due:
        nothing_yet = f"{told}: nothing against it so far, and its look is not due yet"
        return against or Finding(Verdict.INCONCLUSIVE, nothing_yet)
    planned = _planned(case, reading, counts, below)
    # Evidence that is only enough to pause must not soften a planned look that rolls back.
    return against if against and against.demand.rank >= planned.demand.rank else planned


def _planned(case: Case, reading: Reading, counts: tuple[int, int], below: float | None) -> Finding:
    bad, total = counts
    told, share, limit, spec = tell(counts, _pending(reading)), Fraction(bad, total), case.limit, case.spec
    if total < spec.min_sample:
        return Finding(Verdict.INSUFFICIENT, f"{told}: {spec.min_sample - total} more devices are needed to judge it")
    if share > Fraction(limit.threshold):
        return _above(case, counts, _pending(reading))
    short = uncovered(case, reading, told)
    if short is not None:
        return short
    if below is not None and below < case.budget.pause:
        odds = f"{math.exp(below):.3g} to 1, of {math.exp(case.budget.pause):.4g} to 1"
        return Finding(Verdict.INSUFFICIENT, f"{told}: not yet proven to be below {percent(limit.threshold)} ({odds})")
    if limit.target is not None and share > Fraction(limit.target):
        return Finding(Verdict.WARN, f"{told}: within the limit, beyond the target of {percent(limit.target)}")
    return Finding(Verdict.PASS, f"{told}: within the {percent(limit.threshold)} that the limit allows")


def _above(case: Case, counts: tuple[int, int], pending: int) -> Finding:
    """Say what it means at a planned look that more devices are bad than the limit allows."""
    (bad, total), limit = counts, case.limit
    said = f"{tell(counts, pending)}: more than the {percent(limit.threshold)} that the limit allows"
    if Fraction(bad, total + pending) <= Fraction(limit.threshold):
        return Finding(Verdict.INSUFFICIENT, f"{said}, and within it if none of those on their way fails: too early to tell")
    if question(case.spec.metric, limit.name) in case.look.passed:
        # The planned look was, and let it pass. One that is taken again and again would stop a good release at last.
        return Finding(Verdict.INSUFFICIENT, f"{said}, and within it when its look was due")
    return Finding(Verdict.FAIL, said, demand_of(limit.action))


def _nobody(pending: int) -> str:
    if pending:
        return f"{pending} devices are on their way, and none has told yet what became of it"
    return "the source knows no device of this release in this window"


def _pending(reading: Reading) -> int:
    return reading.outcome.pending if isinstance(reading.outcome, Measurement) else 0
