"""Answers in the shape that the plugin's generations read. Pure.

Two things must never be mixed: a success carries none of ``error``, ``kind`` and
``message``, because the presence of any of them is read as "no update"; a refusal carries all three, because generations of
the plugin look for different ones. iOS decodes with types, and one wrong type loses the whole answer: texts stay texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from otagate.server.interface import Reply

OK = 200
BAD_REQUEST = 400
TOO_MANY = 429
UNAVAILABLE = 503
UNREAD_APP_RETRY_S = 30
UNKNOWN_APP_RETRY_S = 300
"""How long a phone leaves a server alone that does not know its app: an operator's mistake is mended within minutes."""
BUILTIN = "builtin"
"""The plugin's name of the bundle inside the native app."""


class Kind(StrEnum):
    """How the plugin takes a refusal. Source: its ``native-contract-tests/core.json``, ``updateResponseKind``."""

    UP_TO_DATE = "up_to_date"
    """Nothing to do; no failure is reported."""
    BLOCKED = "blocked"
    """There is something newer that is not for this device; no failure is reported."""
    FAILED = "failed"
    """Reported as ``download_fail``; so is every kind that the plugin does not know."""


def update(*, version: str, url: str, session_key: str, checksum: str) -> dict[str, Any]:
    """Give the body that names a release. ``session_key`` is empty for a bundle that is not encrypted."""
    return {"version": version, "url": url, "session_key": session_key, "checksum": checksum}


def to_builtin() -> dict[str, Any]:
    """Give the body that sends a device back to its built-in bundle (plugin 6.2.0 and newer)."""
    return {"version": BUILTIN}


def refusal(kind: Kind, error: str, message: str, extras: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Give the body of a refusal, which is sent with status 200."""
    body = {"error": error, "message": message, "kind": kind.value}
    if extras:
        body.update(extras)
    return body


def problem(error: str, message: str) -> dict[str, Any]:
    """Give the body of an error outside ``/updates``."""
    return {"error": error, "message": message}


def bad(error: str, message: str) -> Reply:
    """Answer a request that nobody who runs the plugin sends. Nothing of it is repeated in the answer."""
    return Reply(BAD_REQUEST, problem(error, message), note=error)


def unread_app() -> Reply:
    """Answer for an app of this server that could not be read since it started: its store does not answer.

    Not 429: plugins from 8.2.0 to 8.51.4 (and those of 6 and 7 of the same age) then tell nothing more until the app is started
    again. After 503 the newer ones keep their events, and all of them go on.
    """
    body = problem("unavailable", "this server cannot read the app's channels now")
    return Reply(UNAVAILABLE, body, retry_after_s=UNREAD_APP_RETRY_S, note="unread_app", refused={"unread_app": 1})


def unknown_app() -> Reply:
    """Answer for an app that this server does not serve.

    The protocol's own answer is 429: the plugin then leaves all three endpoints alone, newer ones until ``Retry-After`` is
    over. So a phone of another app costs next to nothing.
    """
    body = problem("on_premise_app", "this server does not serve this app")
    return Reply(TOO_MANY, body, retry_after_s=UNKNOWN_APP_RETRY_S, note="unknown_app", refused={"unknown_app": 1})
