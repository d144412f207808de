"""How a generation of the plugin takes the answer to an update check. Pure.

**Source:** the plugin's update check at its tags; docs/fleet.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from otagate.fleet.generations import Generation, Reading
from otagate.fleet.opening import Offer

BUILTIN = "builtin"
_OK = range(200, 300)
_KINDS = frozenset({"up_to_date", "blocked", "failed"})


class Answered(StrEnum):
    """What an update check came to, for the device."""

    OFFER = "offer"
    BUILTIN = "builtin"
    NOTHING = "nothing"
    """There is no update, or it is refused."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Reaction:
    """What the device makes of an answer.

    Attributes:
        answered: The sort.
        is_told: Whether the plugin reports a failed check to the server.
        offer: With :attr:`Answered.OFFER`.
        error: The code that the server gave, ``""`` when none.
    """

    answered: Answered
    is_told: bool = False
    offer: Offer | None = None
    error: str = ""


NO_ANSWER = Reaction(Answered.FAILED, is_told=True, error="network_error")


def react(status: int, body: Any, plugin: Generation) -> Reaction:
    """Read an answer.

    Args:
        status: HTTP status.
        body: Parsed JSON; anything that is no object is no answer.
        plugin: Whose eyes to read it with.
    """
    if not isinstance(body, Mapping):
        return Reaction(Answered.FAILED, is_told=True, error="parse_error" if status in _OK else "response_error")
    refusal = _refusal(status, body, plugin)
    if refusal is not None:
        return refusal
    if status not in _OK:
        return Reaction(Answered.FAILED, is_told=True, error="response_error")
    version = body.get("version")
    if not isinstance(version, str):
        return Reaction(Answered.FAILED, is_told=True, error="parse_error")
    if version == BUILTIN and plugin.has("resets_to_builtin"):
        return Reaction(Answered.BUILTIN)
    url = body.get("url")
    if not isinstance(url, str) or not _is_url(url):
        return Reaction(Answered.FAILED, is_told=True, error="no_url")
    manifest = body.get("manifest") if plugin.has("reads_manifest") else None
    return Reaction(Answered.OFFER, offer=Offer(version, url, _text(body, "session_key"), _text(body, "checksum"), manifest))


def _refusal(status: int, body: Mapping[str, Any], plugin: Generation) -> Reaction | None:
    error = _text(body, "error")
    if plugin.reading is Reading.MESSAGE:
        if "message" not in body and status in _OK:
            return None
        return Reaction(Answered.FAILED, is_told=True, error=error)
    if plugin.reading is Reading.ERROR:
        if "error" not in body:
            return None
        is_quiet = plugin.has("quiet_refusals") and status in _OK
        return Reaction(Answered.NOTHING if is_quiet else Answered.FAILED, is_told=not is_quiet, error=error)
    if "error" not in body and "kind" not in body:
        return None
    kind = body.get("kind")
    if kind in _KINDS and kind != "failed":
        return Reaction(Answered.NOTHING, error=error)
    return Reaction(Answered.FAILED, is_told=True, error=error)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    return value if isinstance(value, str) else ""
