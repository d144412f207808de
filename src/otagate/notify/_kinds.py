"""The words for each kind of ledger entry: a table. Kinds that are not in it are told in a general way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from otagate._text import approval


class Level(StrEnum):
    """How bad it is; places colour messages by it."""

    INFO = "info"
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


class Said:
    """The fields of an entry; a missing one is ""."""

    def __init__(self, data: Mapping[str, str]) -> None:
        self.data = data

    def __call__(self, name: str, otherwise: str = "") -> str:
        return self.data.get(name) or otherwise

    @property
    def subject(self) -> str:
        """What it is about: the version, else the channel, else the rollout."""
        return self("version") or self("channel") or self("rollout")

    def because(self, otherwise: str = "") -> str:
        """End a sentence, with the reason when there is one."""
        reason = self("reason", otherwise).rstrip(".")
        if reason in {"resumed by hand", *(f"{deed} by {self('actor')}" for deed in ("paused", "rolled back", "aborted"))}:
            return "."  # nobody gave a reason, and who did it is said already
        return f": {reason}." if reason else "."

    def by(self) -> str:
        """Say who did it, when that is known."""
        return f" by {self('actor')}" if self("actor") else ""


@dataclass(frozen=True, slots=True)
class Kind:
    """How bad a kind of entry is, and the words for it."""

    level: Level
    title: Callable[[Said], str]
    sentence: Callable[[Said], str]


def _where(said: Said) -> str:
    channel, weight = said("channel", "its channel"), said("weight")
    return f"{weight} of {channel}" if weight else channel


def _at(said: Said) -> str:
    return f" at {_where(said)}" if said("weight") and said("channel") else ""


def _taken(said: Said) -> str:
    return f"down to {_where(said)}" if said("weight") else f"off {said('channel', 'its channel')}"


def _goes_back(said: Said) -> str:
    channels = said("channels")
    served = f"; {channels} {'serve' if ', ' in channels else 'serves'} the release before it again" if channels else ""
    return f"{said.subject} is rolled back{said.by()}{served or '; it had not reached a channel'}{said.because()}"


KINDS: dict[str, Kind] = {
    "rollout.started": Kind(
        Level.INFO,
        lambda said: f"{said.subject} starts",
        lambda said: f"The rollout of {said.subject} along track {said('track')} was started{said.by()}.",
    ),
    "rollout.advanced": Kind(
        Level.INFO,
        lambda said: f"{said.subject} goes to {_where(said)}",
        lambda said: f"{said.subject} is offered to {_where(said)}, in phase {said('phase')}.",
    ),
    "rollout.lowered": Kind(
        Level.WARNING,
        lambda said: f"{said.subject} goes down to {_where(said)}",
        lambda said: f"{said.subject} was taken down to {_where(said)}{said.by()}{said.because()}",
    ),
    "rollout.paused": Kind(
        Level.WARNING,
        lambda said: f"{said.subject} is paused",
        lambda said: (
            f"{said.subject} is paused{_at(said)}{said.by()}{said.because()} Devices that have it keep it; no others get it."
        ),
    ),
    "rollout.resumed": Kind(
        Level.INFO,
        lambda said: f"{said.subject} goes on",
        lambda said: f"The rollout of {said.subject} was resumed{said.by()}{said.because()}",
    ),
    "rollout.awaiting_approval": Kind(
        Level.WARNING,
        lambda said: f"{said.subject} waits for an approval",
        lambda said: f"{said.subject} does not go on before somebody approves {approval(said('what'))}: otagate approve",
    ),
    "rollout.approved": Kind(
        Level.INFO,
        lambda said: f"{said.subject} is approved",
        lambda said: f"{said.subject} was approved for {approval(said('what')) or 'the next step'}{said.by()}{said.because()}",
    ),
    "rollout.rolled_back": Kind(Level.BAD, lambda said: f"{said.subject} is rolled back", _goes_back),
    "rollout.aborted": Kind(
        Level.WARNING,
        lambda said: f"{said.subject} is aborted",
        lambda said: f"The rollout of {said.subject} was aborted{said.by()}{said.because()}",
    ),
    "rollout.amended": Kind(
        Level.INFO,
        lambda said: f"{said.subject}: its rollout was amended",
        lambda said: f"The rollout of {said.subject} goes on by the policy as it is now, amended{said.by()}{said.because()}",
    ),
    "rollout.superseded": Kind(
        Level.INFO,
        lambda said: f"{said.subject} is superseded",
        lambda said: f"The rollout of {said.subject} is over{said.because()}",
    ),
    "rollout.taken_back": Kind(
        Level.WARNING,
        lambda said: f"{said.subject} is taken {_taken(said)}",
        lambda said: f"{said.subject} was taken {_taken(said)}{said.because()}",
    ),
    "rollout.completed": Kind(
        Level.GOOD,
        lambda said: f"{said.subject} is complete",
        lambda said: f"The rollout of {said.subject} is complete{said.because()}",
    ),
    "gate.failed": Kind(
        Level.BAD,
        lambda said: f"{said.subject} fails {said('metric', 'a gate')}",
        lambda said: f"The gate {said('metric')} of {said.subject} failed, which means {said('action')}{said.because()}",
    ),
    "channel.promoted": Kind(
        Level.INFO,
        lambda said: f"{said('channel')} was moved to {said('version')}",
        lambda said: f"Channel {said('channel')} was moved by hand to {said('version')} at {said('weight')}{said.by()}.",
    ),
    "channel.rolled_back": Kind(
        Level.BAD,
        lambda said: f"{said('channel')} is rolled back",
        lambda said: (
            f"Channel {said('channel')} serves {said('to', 'the release before')} again instead of"
            f" {said('from', 'another release')}{said.because()}"
        ),
    ),
    "channel.paused": Kind(
        Level.WARNING,
        lambda said: f"{said('channel')} is paused",
        lambda said: f"Channel {said('channel')} was paused{said.by()}{said.because()}",
    ),
    "channel.resumed": Kind(
        Level.INFO,
        lambda said: f"{said('channel')} goes on",
        lambda said: f"Channel {said('channel')} was resumed{said.by()}{said.because()}",
    ),
    "release.published": Kind(
        Level.INFO,
        lambda said: f"{said('version')} is published",
        lambda said: f"{said('version')} is published; no channel serves it yet.",
    ),
    "release.pruned": Kind(
        Level.INFO,
        lambda _said: "bundles were removed",
        lambda said: f"{said('bundles', 'Some')} bundles that nothing needs any more were removed{said.by()}.",
    ),
    "notify.failed": Kind(
        Level.WARNING,
        lambda said: f"{said('name')} cannot be told",
        lambda said: f"Messages to {said('name')} of `notify` do not get through{said.because()} The oldest are given up.",
    ),
    "notify.test": Kind(
        Level.INFO,
        lambda _said: "a test",
        lambda said: f"This place is told what happens. Nothing has happened: it is a test{said.by()}.",
    ),
}
