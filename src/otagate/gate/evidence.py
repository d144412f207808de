"""A judgement as plain JSON, which ``--format json`` prints, and what of it the ledger keeps. Pure.

Floats become text with fixed digits, so that canonical JSON takes them and the same judgement has the same bytes anywhere.
"""

from __future__ import annotations

from datetime import datetime

from otagate._clock import to_text
from otagate._text import harmless
from otagate.gate.stats import clopper_pearson
from otagate.gate.verdict import Check, CheckKind, GateResult

DIGITS = 6
_MAX_CHARS = 500


def evidence(result: GateResult) -> dict[str, object]:
    """Give one gate's result as JSON-ready values.

    Returns:
        ``{"metric": str, "verdict": str, "action": str, "holds": bool, "gating": bool, "due": bool, "dry_run": bool,
        "reason": str, "checks": [...]}``; each check has ``name``, ``verdict``, ``action``, ``demand``, ``bad``, ``total``
        (integers or null), ``estimate``, ``interval``, ``threshold``, ``target`` (shares 0..1 as text, or null), ``log_e``,
        ``log_e_pause``, ``log_e_rollback`` (natural logarithms as text, or null), ``pending`` (devices whose fate is not
        known yet), ``missing`` (devices still needed), ``window`` (``start``, ``end``) and ``newest_at`` (RFC 3339 or null),
        ``query``, ``digest``, ``reason`` and ``kind``; ``sequence`` (interval that is valid at any look, shares as text, or
        null), ``exact_interval`` (of this one look, 95 %, by Clopper and Pearson, likewise); and where they belong
        ``log_e_below``, ``control`` (``bad``, ``total``), ``value`` (text) and ``streak`` (looks).
    """
    return {
        "metric": result.metric,
        "verdict": result.verdict.value,
        "action": result.action.value,
        "holds": result.holds,
        "gating": result.is_gating,
        "due": result.is_due,
        "dry_run": result.is_dry_run,
        "reason": result.reason,
        "checks": [_check(check) for check in result.checks],
    }


PROOF = (
    *("bad", "total", "pending", "value", "estimate", "threshold"),
    *("log_e", "log_e_pause", "log_e_rollback", "query", "digest"),
)
"""What the ledger keeps of a check beside its name, verdict, interval and window, by the names of :func:`evidence`."""


def proof(check: Check) -> dict[str, str]:
    """Give what one check rests on as flat texts, for the ledger; what is unknown is left out.

    Returns:
        :data:`PROOF`, ``check`` (its name), ``interval`` (two shares, with a space between), ``start`` and ``end`` (of the
        window), and against control devices ``control_bad`` and ``control_total``.
    """
    told = _check(check)
    window = {"start": _instant(check.start), "end": _instant(check.end)}
    interval = None if check.interval is None else " ".join(_fixed(end) or "" for end in check.interval)
    control = {} if check.control is None else {"control_bad": check.control[0], "control_total": check.control[1]}
    known = {"check": check.name, "interval": interval, **window, **control, **{name: told.get(name) for name in PROOF}}
    return {name: harmless(str(value), _MAX_CHARS) for name, value in known.items() if value not in {None, ""}}


def _check(check: Check) -> dict[str, object]:
    return {**_common(check), **_special(check)}


def _special(check: Check) -> dict[str, object]:
    special: dict[str, object] = {}
    if check.log_e_below is not None:
        special["log_e_below"] = _fixed(check.log_e_below)
    if check.control is not None:
        special["control"] = {"bad": check.control[0], "total": check.control[1]}
    if check.kind is CheckKind.VALUE:
        special |= {"value": None if check.value is None else f"{check.value:.12g}", "streak": check.streak}
    return special


def _common(check: Check) -> dict[str, object]:
    return {
        "name": check.name,
        "verdict": check.verdict.value,
        "action": check.action.value,
        "demand": check.demand.value,
        "bad": check.bad,
        "total": check.total,
        "estimate": None if check.estimate is None else _fixed(float(check.estimate)),
        "interval": None if check.interval is None else [_fixed(end) for end in check.interval],
        "threshold": f"{check.threshold:f}",
        "target": None if check.target is None else f"{check.target:f}",
        "log_e": _fixed(check.log_e),
        "log_e_pause": _fixed(check.log_e_pause),
        "log_e_rollback": _fixed(check.log_e_rollback),
        "pending": check.pending,
        "missing": check.missing,
        "window": {"start": _instant(check.start), "end": _instant(check.end)},
        "newest_at": _instant(check.newest_at),
        "query": check.query,
        "digest": check.digest,
        "reason": check.reason,
        "kind": check.kind.value,
        "sequence": None if check.sequence is None else [_fixed(end) for end in check.sequence],
        "exact_interval": _exact(check),
    }


def _exact(check: Check) -> list[str | None] | None:
    # Reckoned here, not at each look: it takes milliseconds where there are millions of devices.
    if check.kind is not CheckKind.SHARE or check.bad is None or not check.total:
        return None
    return [_fixed(end) for end in clopper_pearson(check.bad, check.total)]


def _fixed(value: float | None) -> str | None:
    return None if value is None else f"{value:.{DIGITS}f}"


def _instant(value: datetime | None) -> str | None:
    return None if value is None else to_text(value)
