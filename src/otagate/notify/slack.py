"""Slack, by an incoming webhook.

**Source:** Slack API: "Sending messages using incoming webhooks", "Formatting message text" (``&``, ``<`` and ``>`` are to be
escaped), and the "Block Kit" reference: 150 characters in a header, 3,000 in a text, 2,000 in a field, ten fields in a section.
"""

from __future__ import annotations

from typing import Any

from otagate import _canonical
from otagate.notify._post import Place, Wire, checked_address, post
from otagate.notify.message import Level, Message

_HEADER, _TEXT, _FIELD, _FIELDS = 150, 3000, 2000, 10
_SIGNS = {Level.INFO: "🔵", Level.GOOD: "🟢", Level.WARNING: "🟠", Level.BAD: "🔴"}


class Slack:
    """See Notifier."""

    def __init__(self, name: str, address: str, wire: Wire) -> None:
        """Send to the incoming webhook at ``address``.

        Raises:
            NotifyError: The address cannot be used.
        """
        hint = "make another incoming webhook in Slack if this one or its channel is gone"
        self._place, self._wire = Place(name, checked_address(name, address), shows_code=True, hint=hint), wire

    def send(self, message: Message) -> None:
        """See Notifier.send."""
        post(self._place, body_of(message), dict, self._wire)


def body_of(message: Message) -> bytes:
    """Give the body: blocks, and a plain text for what cannot show them."""
    title = f"{_SIGNS[message.level]} {message.title}"
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": title[:_HEADER], "emoji": False}},
        {"type": "section", "text": _words(escaped(message.sentence, _TEXT))},
    ]
    fields = [_words(f"*{escaped(name, _FIELD // 4)}*\n{escaped(value, _FIELD // 2)}") for name, value in message.facts]
    blocks += [{"type": "section", "fields": fields[at : at + _FIELDS]} for at in range(0, len(fields), _FIELDS)]
    if message.link:
        # No button: pressing one has Slack call back, and nobody is there.
        link = _words(f"<{escaped(message.link, _TEXT - 20)}|The CI run>")
        blocks.append({"type": "context", "elements": [link]})
    text = escaped(f"{title}: {message.sentence}", _TEXT)
    return _canonical.dumps({"text": text, "blocks": blocks, "unfurl_links": False, "unfurl_media": False})


def escaped(text: str, limit: int) -> str:
    """Escape what Slack reads as markup of links and mentions; an escape at the limit is left out whole."""
    shown = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if len(shown) <= limit:
        return shown
    cut = shown[: limit - 1]
    start, end = cut.rfind("&"), cut.rfind(";")
    return (cut[:start] if start > end else cut) + "…"


def _words(text: str) -> dict[str, Any]:
    # Verbatim: names of channels and addresses in a text do not turn into links or mentions.
    return {"type": "mrkdwn", "text": text, "verbatim": True}
