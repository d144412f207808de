"""Microsoft Teams, by a workflow that waits for a webhook and posts an Adaptive Card; the connectors of old are retired.

Texts are in runs, not in text blocks: a text block reads Markdown, and a reason that somebody wrote must not make links.

**Source:** Microsoft Learn: "Create incoming webhooks with Workflows for Microsoft Teams", "Adaptive Cards" schema 1.4
(``RichTextBlock``, ``TextRun``), and 28 KB for a message.
"""

from __future__ import annotations

from typing import Any

from otagate import _canonical
from otagate.notify._post import Place, Wire, checked_address, post
from otagate.notify.message import Level, Message

MAX_BYTES = 28 * 1024
_COLOURS = {Level.INFO: "accent", Level.GOOD: "good", Level.WARNING: "warning", Level.BAD: "attention"}


class Teams:
    """See Notifier."""

    def __init__(self, name: str, address: str, wire: Wire) -> None:
        """Send to the workflow at ``address``.

        Raises:
            NotifyError: The address cannot be used.
        """
        hint = "it is that of a workflow (When a Teams webhook request is received); Office 365 connectors are retired"
        self._place, self._wire = Place(name, checked_address(name, address), hint=hint), wire

    def send(self, message: Message) -> None:
        """See Notifier.send."""
        post(self._place, body_of(message), dict, self._wire)


def body_of(message: Message) -> bytes:
    """Give the body: a message with one card."""
    facts = [_runs(_run(f"{name}: ", weight="Bolder"), _run(value), spacing="None") for name, value in message.facts]
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": message.title,
        "body": [
            _runs(_run(message.title, weight="Bolder", size="Large", color=_COLOURS[message.level])),
            _runs(_run(message.sentence)),
            *facts,
        ],
        "msteams": {"width": "Full"},
    }
    if message.link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "The CI run", "url": message.link}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return _canonical.dumps({"type": "message", "attachments": [attachment]})


def _run(text: str, **style: str) -> dict[str, Any]:
    return {"type": "TextRun", "text": text, **style}


def _runs(*runs: dict[str, Any], **style: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": list(runs), **style}
