"""Who is told what happens."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class NotifyKind(StrEnum):
    """Where a notification goes."""

    WEBHOOK = "webhook"
    """JSON, signed as Standard Webhooks says when there is a secret."""
    SLACK = "slack"
    TEAMS = "teams"
    APPRISE = "apprise"
    """Anything that the library of that name reaches; an extra."""


@dataclass(frozen=True, slots=True)
class NotifySpec:
    """One place that is told what happens.

    Attributes:
        name: Unique in the policy; names it in messages and remembers how far it was told.
        kind: What stands there.
        url: Reference (``env:NAME``, ``file:PATH``) to its address, which mostly holds a token.
        secret: Reference to the signing secret of a webhook, or None: unsigned.
        events: Globs over ledger kinds, such as ``rollout.*``.
    """

    name: str
    kind: NotifyKind
    url: str
    secret: str | None = None
    events: tuple[str, ...] = ("rollout.*", "gate.failed", "channel.rolled_back")
