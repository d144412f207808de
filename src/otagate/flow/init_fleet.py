"""What a first policy says of a rollout to so many phones: weights and gates that these can pass. Pure.

A phase that has devices enough is judged by shares; one that has too few for that can only be asked whether any device failed.
Neither makes silence a pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from otagate.flow.rehearse.usual import CRASH_RATE, shares_of
from otagate.gate.forecast import forecasts
from otagate.gate.judge import count_gating
from otagate.policy.build import default_gates
from otagate.policy.model.gates import Judgement

CHANNELS = ("internal", "beta", "stable")
"""Of the track that a first policy has, one phase each."""
JUDGED_BY = "crash_rate"
"""The default gate that may stop a rollout and wants the most devices."""
SPARE = 1.2
"""So many times the devices that a gate wants are planned with: some of a week's phones are opened after the soak."""
DEVIATIONS = 3
"""So many standard deviations more than it wants, too: which devices are among those of a weight is chance."""
LEAST_SAMPLE = 50
"""Of fewer devices a single crash is more than the 2 % that are allowed."""
FEWER = "verification_time"
"""The other default gate that may stop a rollout and wants more than :data:`LEAST_SAMPLE` devices."""
QUIET = 300
"""Of fewer devices that are opened once a day, mostly in the evening, none may tell of a new release for a night. That is
longer than the usual ``no_data_grace`` and ``max_staleness``, and no fault of the release."""
_FIRST_STEPS = (1, 5, 10, 25, 50, 100)
_FURTHER_STEPS = (5, 25, 50, 100)
_STEEP = 25
"""A sample is rather lowered than that the first step would be more percent of the last channel's devices than this."""
_HOURS = 24


@dataclass(frozen=True, slots=True)
class Step:
    """One weight of one phase.

    Attributes:
        channel: The phase's channel.
        weight: Percent of its devices.
        devices: How many that are.
        is_judged: Surely there are enough for gates to judge; otherwise it may only count whether any was bad.
    """

    channel: str
    weight: int
    devices: int
    is_judged: bool


@dataclass(frozen=True, slots=True)
class Sight:
    """What :data:`JUDGED_BY` makes of releases at one step.

    Attributes:
        caught: Smallest share of crashing devices that is stopped with a chance of 95 %, or None: there are no devices.
        accident: Chance that a release that crashes as usual is stopped.
    """

    caught: float | None
    accident: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """A rollout for so many devices.

    Attributes:
        devices: That open the app within a week.
        shares: Of them by channel, 0..1.
        samples: ``min_sample`` by metric, where it is another than the default.
        steps: In the order of the track.
    """

    devices: int
    shares: dict[str, float]
    samples: dict[str, int]
    steps: tuple[Step, ...]

    @property
    def weights(self) -> tuple[int, ...]:
        """Give the percentages of the last phase."""
        return tuple(step.weight for step in self.steps if step.channel == CHANNELS[-1])

    @property
    def is_quiet(self) -> bool:
        """Whether some step has so few devices that hours pass in which none of them is heard."""
        return any(step.devices < QUIET for step in self.steps)

    def is_judged(self, channel: str) -> bool:
        """Tell whether every step of a channel's phase is judged."""
        return all(step.is_judged for step in self.steps if step.channel == channel)


def fit(devices: int) -> Fitted:
    """Fit the rollout of a first policy to a fleet.

    Args:
        devices: That open the app within a week, at least 1.
    """
    shares = shares_of(CHANNELS)
    phones = {channel: _part(devices, shares[channel]) for channel in CHANNELS}
    gates = default_gates()
    usual = next(gate for gate in gates if gate.metric == JUDGED_BY)
    sample = _sample(phones, usual.min_sample)
    first = next((step for step in _FIRST_STEPS if _sure(_of(phones[CHANNELS[-1]], step)) >= sample), 100)
    weights = (first, *(step for step in _FURTHER_STEPS if step > first))
    planned = [(channel, 100) for channel in CHANNELS[:-1]] + [(CHANNELS[-1], weight) for weight in weights]
    steps = [_step(sample, channel, weight, _of(phones[channel], weight)) for channel, weight in planned]
    wants = {gate.metric: min(gate.min_sample, sample) for gate in gates if gate.metric in {JUDGED_BY, FEWER}}
    lowered = {gate.metric: wants[gate.metric] for gate in gates if wants.get(gate.metric, gate.min_sample) < gate.min_sample}
    return Fitted(devices, shares, lowered, tuple(steps))


def sight(fitted: Fitted, step: Step) -> Sight:
    """Tell what a step can see, as ``otagate gate power`` computes it."""
    if not step.devices:
        return Sight(None, 0.0)
    gates = default_gates()
    spec = next(gate for gate in gates if gate.metric == JUDGED_BY)
    sample = fitted.samples.get(JUDGED_BY, spec.min_sample)
    # Where that is not reached none may be bad: the same as a planned look at so few.
    asked = replace(spec, min_sample=min(step.devices, sample))
    rates = (Fraction(str(CRASH_RATE)),)
    seen = forecasts(asked, Judgement(), count_gating(gates), devices=step.devices, hours=_HOURS, rates=rates)[0]
    return Sight(seen.caught, seen.outlooks[0].stopped)


def _sample(phones: dict[str, int], usual: int) -> int:
    """Give the devices that the gate shall want: so many as the earlier channels have, and a first step that is not steep."""
    sure = _sure(min(*(phones[channel] for channel in CHANNELS[:-1]), _of(phones[CHANNELS[-1]], _STEEP)))
    return min(usual, max(LEAST_SAMPLE, sure // 10 * 10))


def _sure(devices: int) -> int:
    """Give how many of the devices that are expected somewhere are there in time, all but surely."""
    return int(min(devices / SPARE, devices - DEVIATIONS * math.sqrt(devices)))


def _step(sample: int, channel: str, weight: int, devices: int) -> Step:
    return Step(channel, weight, devices, _sure(devices) >= sample)


def _part(devices: int, share: float) -> int:
    return int(devices * Fraction(str(round(share, 6))))


def _of(devices: int, percent: int) -> int:
    return devices * percent // 100
