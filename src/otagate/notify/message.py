"""What a ledger entry says, in words for people. Pure; the same entry gives the same message, with the same id.

Entries hold what people wrote (a reason, a branch): everything is made harmless and short here, and each kind of place adds
what its own markup needs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from otagate._text import harmless
from otagate.notify._kinds import KINDS, Level, Said

__all__ = ["Happening", "Level", "Message", "compose", "event_id"]

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
    said = Said({name: _flat(value) for name, value in happening.data.items()})
    known = KINDS.get(happening.kind)
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
        facts=_facts(happening, said, sentence),
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
_QUIET = frozenset(
    {
        *("serial", "statement", "blob", "bundle", "bundles", "bytes", "run", "spec", "was"),
        # What a gate's failure rests on: its reason says that in words.
        *("bad", "total", "pending", "value", "estimate", "interval", "threshold", "log_e", "log_e_pause", "log_e_rollback"),
        *("check", "start", "end", "query", "digest", "control_bad", "control_total"),
    }
)
"""Fields of entries that stand in ``details`` only."""


def _facts(happening: Happening, said: Said, sentence: str) -> tuple[tuple[str, str], ...]:
    others = sorted(set(said.data) - set(_FACTS) - _QUIET)
    # A reason is long, and mostly said already.
    is_said = bool(said("reason")) and said("reason").rstrip(".") in sentence
    named = [(label, said(name)) for name, label in _FACTS.items() if not (name == "reason" and is_said)]
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
