"""Reading the gates of a rollout: its frozen spec to sources, its state to the window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from otagate.gate.interface import MetricSource
from otagate.gate.judge import Reading
from otagate.gate.measure import Subject, measure
from otagate.gate.sources.registry import open_sources
from otagate.rollout.state import RolloutState


def measure_rollout(
    state: RolloutState,
    now: datetime,
    *,
    root: Path,
    environ: Mapping[str, str],
    sources: Mapping[str, MetricSource] | None = None,
) -> Sequence[Reading]:
    """Read every gate once.

    The window begins when the channel was entered, not with the present weight: counts are cumulative over the weights of
    one channel, so that evidence does not start from nothing with each step (reference: always-valid tests).

    Args:
        state: A rollout that has entered a phase.
        now: The instant of the look.
        root: Where relative paths and commands of sources start.
        environ: Environment variables for ``env:`` references.
        sources: Already open, by metric; None: those that the gates name are opened.
    """
    phase = state.current
    if phase is None or state.phase_since is None:
        return ()
    subject = Subject(
        app=str(state.app),
        channel=str(phase.channel),
        release=str(state.release.version),
        start=state.phase_since,
        weight_bps=state.weight.bps,
        weight_since=state.entered_at,
        control=state.control or None,
    )
    opened = open_sources(state.gates, root=root, environ=environ) if sources is None else sources
    return measure(state.gates, opened, subject, settle=state.spec.judgement.settle, now=now)
