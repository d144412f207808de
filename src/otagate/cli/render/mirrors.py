"""Mirrors as blocks for people and as JSON-ready data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from otagate.cli.render.blocks import Block, Line, Table, Tone
from otagate.flow.mirror_lag import MirrorLag


def lag_data(lag: MirrorLag) -> dict[str, Any]:
    """Give a mirror's lag as JSON-ready data."""
    return {
        "url": lag.url,
        "in_step": lag.is_in_step,
        "releases": [{"version": one.version, "lacks": one.lacks, "problem": one.problem} for one in lag.releases],
        "channels": [
            {"channel": str(gap.channel), "here": gap.here, "there": gap.there, "problem": gap.problem} for gap in lag.channels
        ],
        "error": str(lag.error.what) if lag.error else None,
    }


def mended_data(lag: MirrorLag) -> dict[str, Any]:
    """Give what was done for a mirror as JSON-ready data."""
    return {
        "url": lag.url,
        "in_step": not lag.problems,
        "releases": [one.version for one in lag.releases if not one.problem],
        "channels": [str(gap.channel) for gap in lag.channels if not gap.problem],
        "problems": list(lag.problems),
    }


def lag_view(lags: Sequence[MirrorLag]) -> list[Block]:
    """Show how far each mirror is behind; nothing when there are none."""
    if not lags:
        return []
    view: list[Block] = [Table(("mirror", "state"), tuple((lag.url, str(lag)) for lag in lags))]
    view += [Line(f"{lag.url}: {problem}", Tone.BAD) for lag in lags if lag.error is None for problem in lag.problems]
    for lag in lags:
        if lag.error is not None:
            why = f": {lag.error.found}" if lag.error.found else ""
            remedy = lag.error.remedy or "otagate doctor says what is wrong"
            view.append(Line(f"{lag.url} cannot be read{why}; try: {remedy}", Tone.WARN))
    if any(lag.error is None and not lag.is_in_step for lag in lags):
        view.append(Line("a mirror lags: otagate mirror brings it up", Tone.WARN))
    return view
