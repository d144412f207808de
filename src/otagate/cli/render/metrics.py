"""What telemetry counted, as tables for people and as JSON-ready data; docs/gates.md describes the JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from otagate._clock import to_text
from otagate._text import harmless
from otagate.cli.render.blocks import Block, Facts, Heading, Line, Table, Tone
from otagate.flow.counting import Figures, Report, Wanted
from otagate.gate.sources.telemetry_database import counts_data
from otagate.telemetry.metrics import ADOPTION, METRICS, VERIFICATION_TIME, Tally, quantile, tally
from otagate.telemetry.model import VERIFY_BOUNDS_S

_SHARES = tuple(name for name in METRICS if name not in {VERIFICATION_TIME, ADOPTION})
_QUANTILES = {"p50": 0.5, "p95": 0.95}
_FIRST = (
    "release",
    "role",
    "devices",
    "offered",
    "success",
    "completion",
    "crashed",
    "errors",
    "p50",
    "p95",
    "adopted",
    "active",
)
_SECOND = ("release", "not decided", "network", "integrity", "boot", "refusal")


def metrics_data(app: str, wanted: Wanted, report: Report) -> dict[str, Any]:
    """Give a report as JSON-ready data."""
    return {
        "app": app,
        "start": to_text(report.start),
        "end": to_text(report.end),
        "channel": None if wanted.channel is None else str(wanted.channel),
        "platform": wanted.platform,
        "plugin": wanted.plugin,
        "test_devices": wanted.test,
        "active_devices": report.fleet,
        "left_out": report.left_out,
        "verify_bounds_s": list(VERIFY_BOUNDS_S),
        "releases": [_data(one) for one in report.figures],
    }


def _data(one: Figures) -> dict[str, Any]:
    shares = {name: _tally_data(tally(name, one.counts)) for name in _SHARES}
    return {
        "release": one.release,
        "roles": [{"channel": str(role.channel), "role": role.name} for role in one.roles],
        "counts": counts_data(one.counts),
        "metrics": {**shares, ADOPTION: None if one.adoption is None else _tally_data(one.adoption)},
        "verification": {"devices": sum(one.counts.verify)} | {f"{name}_at_most_s": _seconds(one, name) for name in _QUANTILES},
        "active_devices": one.active,
    }


def _tally_data(found: Tally) -> dict[str, int]:
    return {"bad": found.bad, "total": found.total}


def _seconds(one: Figures, name: str) -> int | None:
    found = quantile(one.counts.verify, _QUANTILES[name])
    return None if found is None else found.seconds


def metrics_view(app: str, wanted: Wanted, report: Report) -> list[Block]:
    """Show a report."""
    view: list[Block] = [Heading(f"devices of {app}"), Facts(_facts(wanted, report))]
    if not report.figures:
        return [*view, Line("telemetry heard of no release in this time", Tone.WARN)]
    view.append(Table(_FIRST, tuple(_row(one, report.fleet) for one in report.figures)))
    view.append(Table(_SECOND, tuple(_failures(one) for one in report.figures)))
    if any(not one.counts.devices for one in report.figures):
        since = f"{report.end:%H:%M}"
        view.append(Line(f"devices that came since {since} are counted when their five minutes are over", Tone.DIM))
    if report.left_out:
        view.append(Line(f"{report.left_out} older releases are not shown; name one with --release", Tone.DIM))
    return view


def _facts(wanted: Wanted, report: Report) -> tuple[tuple[str, str], ...]:
    pairs = (
        ("first seen", f"{_instant(report.start)} to {_instant(report.end)} UTC"),
        ("channel", str(wanted.channel or "all")),
        ("platform", wanted.platform or "all"),
        ("plugin", wanted.plugin or "all"),
        ("kind", "emulators and development builds" if wanted.test else "real devices"),
        ("seen since then", "" if report.fleet is None else f"{report.fleet} devices"),
    )
    return tuple((name, value) for name, value in pairs if value)


def _instant(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M}"


def _row(one: Figures, fleet: int | None) -> tuple[str, ...]:
    counts = one.counts
    success, completion = tally("device_success_rate", counts), tally("rollout_completion", counts)
    return (
        harmless(one.release, 80),
        ", ".join(f"{role.name} of {role.channel}" for role in one.roles) or "-",
        str(counts.devices),
        str(counts.offered),
        _good(success),
        _good(completion),
        _bad(tally("crash_rate", counts)),
        _bad(tally("error_rate", counts)),
        _time(one, "p50"),
        _time(one, "p95"),
        "-" if one.adoption is None else _good(one.adoption),
        "-" if one.active is None else f"{one.active} ({_share(one.active, fleet or 0)})",
    )


def _failures(one: Figures) -> tuple[str, ...]:
    counts = one.counts
    numbers = (counts.pending, counts.network, counts.integrity, counts.boot, counts.refusal)
    return (harmless(one.release, 80), *map(str, numbers))


def _good(found: Tally) -> str:
    return _share(found.total - found.bad, found.total)


def _bad(found: Tally) -> str:
    return _share(found.bad, found.total)


def _share(part: int, total: int) -> str:
    return f"{part / total:.2%}" if total else "-"


def _time(one: Figures, name: str) -> str:
    found = quantile(one.counts.verify, _QUANTILES[name])
    if found is None:
        return "-"
    return f"over {VERIFY_BOUNDS_S[-1]}s" if found.seconds is None else f"{found.seconds}s"
