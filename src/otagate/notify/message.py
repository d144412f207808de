"""What a ledger entry says, in words for people. Pure; the same entry gives the same message, with the same id.

Entries hold what people wrote (a reason, a branch): everything is made harmless and short here, and each kind of place adds
what its own markup needs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from otagate._text import harmless

MAX_TITLE_CHARS = 140
MAX_FACTS = 12
MAX_FACT_CHARS = 240
MAX_SENTENCE_CHARS = 900
"""With the others it keeps a whole message below the 28 KB of Teams, also when every character takes four bytes.
**Source:** Microsoft, "Format cards in Microsoft Teams" and "Limits and specifications for Microsoft Teams"."""
_MAX_LINK_CHARS = 1000
_MAX_DETAIL_CHARS = 500
_MAX_DETAILS = 30
_WEB = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[!#-;=?-\[\]_a-z~]*)?", re.ASCII)
"""An address that is shown as a link: no white space, quotes of markup, user or password."""


class Level(StrEnum):
    """How bad it is; places colour messages by it."""

    INFO = "info"
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent.

    Attributes:
        id: Names the event: the same for every attempt and every place. Letters, digits and ``_`` only.
        kind: Ledger kind, such as ``rollout.paused``.
        at: When it happened.
        app: App id.
        seq: Number of the ledger entry; 0 for a test.
        level: How bad it is.
        title: A few words, at most :data:`MAX_TITLE_CHARS`.
        sentence: One or two sentences.
        facts: Name and value, at most :data:`MAX_FACTS`.
        link: https address of the CI run that did it, or "".
        details: The entry's own fields, as texts and numbers; for machines.
    """

    id: str
    kind: str
    at: datetime
    app: str
    seq: int
    level: Level
    title: str
    sentence: str
    facts: tuple[tuple[str, str], ...]
    link: str = ""
    details: Mapping[str, str | int | bool] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The whole message as plain text, for places that know nothing else."""
        lines = [self.sentence, *(f"{name}: {value}" for name, value in self.facts)]
        return "\n".join([*lines, self.link] if self.link else lines)


@dataclass(frozen=True, slots=True)
class Happening:
    """A ledger entry, as far as a message needs it.

    Attributes:
        app: App id.
        seq: The entry's number.
        at: When it happened.
        kind: What.
        data: Everything else; texts mostly.
        name: What makes the event one of a kind besides app and number, such as the entry's digest: two stores may hold an
            app of the same id.
    """

    app: str
    seq: int
    at: datetime
    kind: str
    data: Mapping[str, Any]
    name: str = ""


def compose(happening: Happening) -> Message:
    """Make the message of a ledger entry; a kind that is not known gets a general one."""
    said = _Said({name: _flat(value) for name, value in happening.data.items()})
    known = _KINDS.get(happening.kind)
    if known is not None:
        level, title, sentence = known.level, known.title(said), known.sentence(said)
    else:
        words = harmless(happening.kind.replace(".", " ").replace("_", " "), 100)
        level, title, sentence = Level.INFO, f"{words}: {said.subject}".rstrip(": "), f"{words.capitalize()}."
    run = said("run")
    return Message(
        id=event_id(happening.app, happening.seq, happening.name),
        kind=harmless(happening.kind, 100),
        at=happening.at,
        app=harmless(happening.app),
        seq=happening.seq,
        level=level,
        title=_short(f"{title} · {happening.app}", MAX_TITLE_CHARS),
        sentence=_short(sentence, MAX_SENTENCE_CHARS),
        facts=_facts(happening, said),
        link=run if len(run) <= _MAX_LINK_CHARS and _WEB.fullmatch(run) else "",
        details=_details(happening.data),
    )


def event_id(app: str, seq: int, name: str) -> str:
    """Give the id of an event: without any stop in it, as signatures of webhooks need."""
    return "msg_" + hashlib.sha256(f"{app}\n{seq}\n{name}".encode()).hexdigest()[:32]


def _short(text: str, limit: int) -> str:
    """Make a text harmless; what is escaped grows, so it is cut once more."""
    shown = harmless(text, limit)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


class _Said:
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
        reason = self("reason", otherwise).rstrip(".")
        return f": {reason}." if reason else "."

    def by(self) -> str:
        return f" by {self('actor')}" if self("actor") else ""


@dataclass(frozen=True, slots=True)
class _Kind:
    level: Level
    title: Callable[[_Said], str]
    sentence: Callable[[_Said], str]


def _where(said: _Said) -> str:
    channel, weight = said("channel", "its channel"), said("weight")
    return f"{weight} of {channel}" if weight else channel


def _goes_back(said: _Said) -> str:
    channels = said("channels")
    served = f" Channels {channels} serve the release before it again." if channels else " It had not reached a channel."
    return f"The rollout of {said.subject} was ended{said.by()}{said.because()}{served}"


_KINDS: dict[str, _Kind] = {
    "rollout.started": _Kind(
        Level.INFO,
        lambda said: f"{said.subject} starts",
        lambda said: f"The rollout of {said.subject} along track {said('track')} was started{said.by()}.",
    ),
    "rollout.advanced": _Kind(
        Level.INFO,
        lambda said: f"{said.subject} goes to {_where(said)}",
        lambda said: f"{said.subject} is offered to {_where(said)}, in phase {said('phase')}.",
    ),
    "rollout.lowered": _Kind(
        Level.WARNING,
        lambda said: f"{said.subject} goes down to {_where(said)}",
        lambda said: f"{said.subject} is offered to fewer devices{said.by()}: {_where(said)}{said.because()}",
    ),
    "rollout.paused": _Kind(
        Level.WARNING,
        lambda said: f"{said.subject} is paused",
        lambda said: f"{said.subject} is paused{said.by()}{said.because()} Devices that have it keep it; no others get it.",
    ),
    "rollout.resumed": _Kind(
        Level.INFO,
        lambda said: f"{said.subject} goes on",
        lambda said: f"The rollout of {said.subject} was resumed{said.by()}{said.because()}",
    ),
    "rollout.awaiting_approval": _Kind(
        Level.WARNING,
        lambda said: f"{said.subject} waits for an approval",
        lambda said: f"{said.subject} does not go on before somebody approves it ({said('what')}): otagate approve",
    ),
    "rollout.approved": _Kind(
        Level.INFO,
        lambda said: f"{said.subject} is approved",
        lambda said: f"{said('what', 'the next step')} of {said.subject} was approved{said.by()}{said.because()}",
    ),
    "rollout.rolled_back": _Kind(Level.BAD, lambda said: f"{said.subject} is rolled back", _goes_back),
    "rollout.aborted": _Kind(
        Level.WARNING,
        lambda said: f"{said.subject} is aborted",
        lambda said: f"The rollout of {said.subject} was aborted{said.by()}{said.because()}",
    ),
    "rollout.amended": _Kind(
        Level.INFO,
        lambda said: f"{said.subject}: its rollout was amended",
        lambda said: f"The rollout of {said.subject} goes on under another policy, amended{said.by()}{said.because()}",
    ),
    "rollout.superseded": _Kind(
        Level.INFO,
        lambda said: f"{said.subject} is superseded",
        lambda said: f"The rollout of {said.subject} is over{said.because()}",
    ),
    "rollout.completed": _Kind(
        Level.GOOD,
        lambda said: f"{said.subject} is complete",
        lambda said: f"The rollout of {said.subject} is complete{said.because()}",
    ),
    "gate.failed": _Kind(
        Level.BAD,
        lambda said: f"{said.subject} fails {said('metric', 'a gate')}",
        lambda said: f"The gate {said('metric')} of {said.subject} failed, which means {said('action')}{said.because()}",
    ),
    "channel.promoted": _Kind(
        Level.INFO,
        lambda said: f"{said('channel')} was moved to {said('version')}",
        lambda said: f"Channel {said('channel')} was moved by hand to {said('version')} at {said('weight')}{said.by()}.",
    ),
    "channel.rolled_back": _Kind(
        Level.BAD,
        lambda said: f"{said('channel')} is rolled back",
        lambda said: (
            f"Channel {said('channel')} serves {said('to', 'the release before')} again instead of"
            f" {said('from', 'another release')}{said.because()}"
        ),
    ),
    "channel.paused": _Kind(
        Level.WARNING,
        lambda said: f"{said('channel')} is paused",
        lambda said: f"Channel {said('channel')} was paused{said.by()}{said.because()}",
    ),
    "channel.resumed": _Kind(
        Level.INFO,
        lambda said: f"{said('channel')} goes on",
        lambda said: f"Channel {said('channel')} was resumed{said.by()}{said.because()}",
    ),
    "release.published": _Kind(
        Level.INFO,
        lambda said: f"{said('version')} is published",
        lambda said: f"{said('version')} is published; no channel serves it by that.",
    ),
    "release.pruned": _Kind(
        Level.INFO,
        lambda _said: "bundles were removed",
        lambda said: f"{said('bundles', 'Some')} bundles that nothing needs any more were removed{said.by()}.",
    ),
    "notify.failed": _Kind(
        Level.WARNING,
        lambda said: f"{said('name')} cannot be told",
        lambda said: f"Messages to {said('name')} of `notify` do not get through{said.because()} The oldest are given up.",
    ),
    "notify.test": _Kind(
        Level.INFO,
        lambda _said: "a test",
        lambda said: f"This place is told what happens. Nothing has happened: it is a test{said.by()}.",
    ),
}

_FACTS = {
    "version": "version",
    "channel": "channel",
    "channels": "channels",
    "phase": "phase",
    "weight": "weight",
    "from": "from",
    "to": "to",
    "metric": "gate",
    "action": "action",
    "what": "approval",
    "reason": "reason",
    "track": "track",
    "ref": "ref",
    "commit": "commit",
    "actor": "by",
    "rollout": "rollout",
}
"""Field of an entry to its name for people, in the order of a message."""
_QUIET = frozenset({"serial", "statement", "blob", "bundle", "bundles", "bytes", "run"})


def _facts(happening: Happening, said: _Said) -> tuple[tuple[str, str], ...]:
    others = sorted(set(said.data) - set(_FACTS) - _QUIET)
    named = [(label, said(name)) for name, label in _FACTS.items()]
    named += [(harmless(name, 40), said(name)) for name in others]
    found = [("app", happening.app), *((label, value) for label, value in named if value)]
    when = ("at", f"{happening.at:%Y-%m-%d %H:%M:%S} UTC")
    return (*((label, _short(value, MAX_FACT_CHARS)) for label, value in found[: MAX_FACTS - 1]), when)


def _flat(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_flat, value[:_MAX_DETAILS]))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_flat(item)}" for name, item in list(value.items())[:_MAX_DETAILS])
    return "" if value is None else str(value)


def _details(data: Mapping[str, Any]) -> dict[str, str | int | bool]:
    items = [(name, data[name]) for name in sorted(data) if data[name] is not None]
    return {
        harmless(name, 100): value if isinstance(value, int | bool) else _short(_flat(value), _MAX_DETAIL_CHARS)
        for name, value in items[:_MAX_DETAILS]
    }
