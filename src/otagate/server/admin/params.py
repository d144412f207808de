"""Reading what a request to the operators' side says: every field is hostile, every fault one 400."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from otagate import _clock
from otagate.errors import UsageError
from otagate.model import AppId, ChannelName, Version
from otagate.server.admin.refusals import bad
from otagate.server.parts import AdminRequest
from otagate.telemetry.model import DEVICE_KEY_BYTES

MAX_DEVICE_ID_CHARS = 36
"""**Source:** the length of a UUID in text, RFC 9562."""
LONGEST_SPAN = timedelta(days=400)
"""Longest time that one request may count over: each five minutes of it are a row for each kind of device."""
_DEVICE_ID = re.compile(r"[0-9A-Za-z-]{1,36}", re.ASCII)
_KEY = re.compile(rf"key:([0-9a-f]{{{2 * DEVICE_KEY_BYTES}}})", re.ASCII)
_PLUGIN = re.compile(r"[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}", re.ASCII)
_WHOLE = re.compile(r"[0-9]{1,6}", re.ASCII)
_PLATFORMS = ("android", "electron", "ios")
_FLAGS = {"true": True, "1": True, "false": False, "0": False, "": False}


class Params:
    """The named values of a request, as texts.

    A POST says them in its body; a GET or DELETE in the query or, as Capgo's clients do, in a body, never one name in both.
    """

    def __init__(self, request: AdminRequest, known: frozenset[str]) -> None:
        """Take them from a request.

        Raises:
            RefusedError: The body is no object, a value is no text, a name is unknown or stands twice.
        """
        values: dict[str, Any] = {} if request.method == "POST" else dict(request.query)
        body = request.body
        if body is not None:
            if not isinstance(body, Mapping):
                raise bad("invalid_json_body", "the body must be a JSON object")
            if values.keys() & body.keys():
                raise bad("ambiguous_parameter", "a parameter stands in the query and in the body")
            values.update(body)
        self._values = {name: _text(value) for name, value in values.items() if value is not None}
        if not self._values.keys() <= known:
            raise bad("unknown_parameter", f"known parameters: {', '.join(sorted(known))}")

    def text(self, name: str) -> str | None:
        """Give a value, or None when there is none or it is empty."""
        return self._values.get(name) or None

    def app(self, name: str) -> str:
        """Give the app id, which must be there."""
        text = self.text(name)
        if text is None:
            raise bad(f"missing_{name}", f"{name} is missing")
        try:
            return AppId(text).value
        except UsageError:
            raise bad("invalid_app_id", "an app id is a reverse domain name such as com.example.app") from None

    def channel(self) -> str | None:
        """Give ``channel``, or None."""
        text = self.text("channel")
        try:
            return None if text is None else ChannelName(text).value
        except UsageError:
            raise bad("invalid_channel", "this cannot be the name of a channel") from None

    def device(self, app: str, key_of: Any) -> bytes | None:
        """Give the stored key of ``device_id``, or None. ``key:<hex>`` is such a key, as a list of devices gives it."""
        text = self.text("device_id")
        if text is None:
            return None
        if match := _KEY.fullmatch(text):
            return bytes.fromhex(match[1])
        if not _DEVICE_ID.fullmatch(text):
            raise bad("invalid_device_id", f"a device id is a UUID of at most {MAX_DEVICE_ID_CHARS} characters")
        key: bytes = key_of(app, text.lower())
        return key

    def version(self, name: str) -> str:
        """Give a release's version, which must be there."""
        text = self.text(name)
        if text is None:
            raise bad(f"missing_{name}", f"{name} is missing")
        try:
            return Version(text).value
        except UsageError:
            raise bad(f"invalid_{name}", "this is not a semantic version") from None

    def platform(self) -> str | None:
        """Give ``platform``, or None."""
        text = self.text("platform")
        if text is not None and text not in _PLATFORMS:
            raise bad("invalid_platform", f"one of {', '.join(_PLATFORMS)}")
        return text

    def plugin(self) -> str | None:
        """Give ``plugin``, or None."""
        text = self.text("plugin")
        if text is not None and not _PLUGIN.fullmatch(text):
            raise bad("invalid_plugin", "a plugin version is major.minor.patch")
        return text

    def flag(self, name: str) -> bool:
        """Give a truth value; False when it is not there."""
        found = _FLAGS.get((self.text(name) or "").lower())
        if found is None:
            raise bad(f"invalid_{name}", f"{name} is true or false")
        return found

    def instant(self, name: str) -> datetime | None:
        """Give an instant, or None."""
        text = self.text(name)
        try:
            return None if text is None else _clock.from_text(text)
        except ValueError:
            raise bad(f"invalid_{name}", f"{name} is an RFC 3339 instant such as 2026-11-21T09:30:00Z") from None

    def required_instant(self, name: str) -> datetime:
        """Give an instant that must be there."""
        found = self.instant(name)
        if found is None:
            raise bad(f"missing_{name}", f"{name} is missing")
        return found

    def period(self) -> tuple[datetime, datetime]:
        """Give ``start`` and ``end``, which must be there."""
        start, end = self.required_instant("start"), self.required_instant("end")
        if not timedelta(0) <= end - start <= LONGEST_SPAN:
            raise bad("invalid_period", f"end is not before start, and at most {LONGEST_SPAN.days} days after it")
        return start, end

    def whole(self, name: str, default: int, most: int) -> int:
        """Give a number from 1 on."""
        text = self.text(name)
        if text is None:
            return default
        if not _WHOLE.fullmatch(text) or not 1 <= int(text) <= most:
            raise bad(f"invalid_{name}", f"{name} is a whole number from 1 to {most}")
        return int(text)

    def cursor(self) -> bytes:
        """Give ``cursor``: the key after which a list goes on."""
        text = self.text("cursor")
        if text is None:
            return b""
        if not _KEY.fullmatch(text):
            raise bad("invalid_cursor", "a cursor is what nextCursor said")
        return bytes.fromhex(text.removeprefix("key:"))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int) and abs(value) < 10**9:  # clients send limit as a number
        return str(value)
    raise bad("invalid_parameter", "parameters are texts")
