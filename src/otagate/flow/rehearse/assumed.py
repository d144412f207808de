"""Metrics that no telemetry knows, such as one of your own Prometheus: what a rehearsal assumes of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from otagate._text import harmless, nearest
from otagate.errors import UsageError
from otagate.gate.interface import Measurement, MetricQuery, MetricSource
from otagate.policy.meant import meant
from otagate.policy.model.gates import GateSpec
from otagate.policy.values import percent

COUNTED_AS = "crash_rate"
"""The metric of telemetry whose devices an assumed one is about: those that ran the release."""


def can_be_assumed(gate: GateSpec) -> bool:
    """Tell whether a gate is about a share of devices of the release alone."""
    return gate.max is not None or gate.min is not None


def bad_share(gate: GateSpec, rate: float) -> float:
    """Give the share of bad devices of a metric at a rate: with ``min`` the rate is that of the good ones."""
    return rate if gate.min is None else 1 - rate


def is_any_beyond(gates: Iterable[GateSpec], assumed: Mapping[str, float]) -> bool:
    """Tell whether an assumed rate is on the wrong side of its gate's limit, so that a stop is no false one."""
    rated = [(gate, assumed[gate.metric]) for gate in gates if gate.metric in assumed]
    is_above = any(gate.max is not None and rate > float(gate.max) for gate, rate in rated)
    return is_above or any(gate.min is not None and rate < float(gate.min) for gate, rate in rated)


def read_assumed(texts: Iterable[str], unknown: Sequence[GateSpec]) -> dict[str, float]:
    """Read ``--assume METRIC=RATE``.

    Args:
        texts: As they were given.
        unknown: Gates whose metric a rehearsal does not know.

    Raises:
        UsageError: There is no such gate, it is about no share, or the rate is none.
    """
    known = [gate.metric for gate in unknown if can_be_assumed(gate)]
    found: dict[str, float] = {}
    for text in texts:
        metric, _, rate = text.partition("=")
        if metric not in known:
            raise _unknown(metric, known)
        try:
            found[metric] = float(percent(rate))
        except ValueError as error:
            raise UsageError(
                "this is no share",
                f"--assume {metric}",
                expected=str(error),
                found=repr(harmless(rate, 40)),
                remedy=meant("percent", rate),
            ) from error
    return found


def _unknown(metric: str, known: Sequence[str]) -> UsageError:
    near, named = nearest(metric, known), f"--assume {harmless(metric, 60)}"
    expected = f"one of {', '.join(known)}" if known else "a gate with max or min that is not rehearsed otherwise"
    remedy = f"did you mean {near}?" if near else "what telemetry knows is played: see --fault"
    return UsageError("nothing can be assumed of this metric", named, expected=expected, remedy=remedy)


class AssumedShare:
    """A source that draws which devices are bad. See MetricSource.

    The same device of a channel is bad at each look: of more devices at a later look the first are those of the earlier one.
    """

    def __init__(self, devices: MetricSource, share: float, seed: int) -> None:
        """Draw ``share`` bad ones of those that ``devices`` counts."""
        self._devices, self._share, self._seed = devices, share, seed

    def read(self, query: MetricQuery) -> Measurement:
        """See MetricSource.read."""
        found = self._devices.read(query)
        if found.total is None:
            return found
        chance = random.Random(f"assumed:{self._seed}:{query.metric}:{query.channel}")  # noqa: S311 - a simulation
        bad = sum(chance.random() < self._share for _ in range(found.total))
        return replace(found, bad=bad, query=f"assumed: {100 * self._share:.3g}% of {found.query}")


def with_assumed(
    sources: Mapping[str, MetricSource], gates: Iterable[GateSpec], assumed: Mapping[str, float], seed: int
) -> dict[str, MetricSource]:
    """Give sources in which the assumed metrics are what is assumed of them."""
    drawn: dict[str, MetricSource] = {
        gate.metric: AssumedShare(sources[gate.metric], bad_share(gate, assumed[gate.metric]), seed)
        for gate in gates
        if gate.metric in assumed
    }
    return {**sources, **drawn}
