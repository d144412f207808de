"""How a branch ships: tracks of phases, each with its channel, weights and soak."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from otagate.model import ChannelName, Weight


class OnInsufficient(StrEnum):
    """What happens when ``max_wait`` is over and there are still too few devices."""

    PAUSE = "pause"
    APPROVE = "approve"
    PASS_IF_ZERO_BAD = "pass_if_zero_bad"  # noqa: S105 - a policy word


@dataclass(frozen=True, slots=True)
class PhaseSpec:
    """One step of a track: a channel, the weights it ramps through, and how long each is watched."""

    name: str
    channel: ChannelName
    weights: tuple[Weight, ...] = (Weight(10_000),)
    soak: timedelta = timedelta(hours=24)
    approve: bool = False
    allow_short_soak: bool = False
    max_wait: timedelta = timedelta(hours=72)
    """How long after the soak's end to wait for enough devices before ``on_insufficient``."""
    on_insufficient: OnInsufficient = OnInsufficient.PAUSE
    holdout: Weight = Weight(0)  # noqa: RUF009 - a frozen value
    """So many devices keep the previous release until the phase is over; its last weight is 100% less this."""
    ignore_windows: bool = False
    """Weights rise outside of ``windows`` and during freezes too: for hotfixes."""
    gates: tuple[str, ...] | None = None
    """Only these metrics count in this phase; None: all."""

    @property
    def ramp(self) -> tuple[Weight, ...]:
        """The weights that it goes through: those of the policy, with the hold-out taken off."""
        most = Weight(Weight(10_000).bps - self.holdout.bps)
        return tuple(dict.fromkeys(min(weight, most) for weight in self.weights))


@dataclass(frozen=True, slots=True)
class TrackSpec:
    """An ordered list of phases that a branch ships through."""

    name: str
    phases: tuple[PhaseSpec, ...]


@dataclass(frozen=True, slots=True)
class BranchRule:
    """One line of ``branches``: exactly one of track and channel is set. ``channel`` may hold ``{number}`` and ``{branch}``."""

    pattern: str
    track: str | None = None
    channel: str | None = None
    start_at: str | None = None
    supersede: bool = False
    """A run of this rule ends a rollout that holds the channel it enters, also one that is not paused."""
