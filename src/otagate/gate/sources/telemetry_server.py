"""Reading telemetry through an update server's ``/api/v1``; the server's ``/openapi.json`` lists the requests."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from otagate._clock import from_text, to_text
from otagate._text import harmless
from otagate.gate.interface import SourceError
from otagate.gate.sources import _secrets, _shape
from otagate.gate.sources._exchange import Answer, Exchange, Pace, Request
from otagate.gate.sources.telemetry_interface import Compared, Counted
from otagate.policy.model.sources import TelemetrySpec
from otagate.telemetry.fold import PLAIN
from otagate.telemetry.interface import Active, CountQuery, Heard, PluginUse, SideBySide
from otagate.telemetry.model import VERIFY_BOUNDS_S, Counts
from otagate.telemetry.secret import read_text

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 15.0
_NOT_FOUND = 404
_ADDRESS = "check `telemetry.server` in the policy: the address of `otagate serve`, without a path of its own"
_UPGRADE = "upgrade the server to this version of otagate; if it is, check `telemetry.server` in the policy"


class ServerReader:
    """See TelemetryReader. Each answer is checked: its name, its types, and the bounds that devices are counted by."""

    def __init__(
        self,
        spec: TelemetrySpec,
        root: Path,
        environ: Mapping[str, str],
        *,
        pace: Pace | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Ask ``spec.server``; its token is read when it is asked. ``transport`` replaces the network."""
        self._server = (spec.server or "").rstrip("/")
        self._token = spec.token
        self._root = root
        self._environ = environ
        self._exchange = Exchange(pace or Pace(), environ.get("SSL_CERT_FILE"), transport)

    def counted(self, query: CountQuery) -> Counted:
        """See TelemetryReader.counted."""
        said = self._ask("metrics", "counts", _params(query))
        digest = hashlib.sha256(said.body).hexdigest()
        return Counted(_counts(said), said.subject, digest)

    def side_by_side(self, query: CountQuery, control: str) -> Compared:
        """See TelemetryReader.side_by_side."""
        said = self._ask("side-by-side", "side-by-side", {**_params(query), "control": control}, _UPGRADE)
        digest = hashlib.sha256(said.body).hexdigest()
        if said.value.get("columns") != list(PLAIN):
            raise said.broken("other columns")
        return Compared([_row(row, said) for row in said.items("rows")], said.subject, digest)

    def releases(self, app: str, start: datetime, end: datetime) -> list[str]:
        """See TelemetryReader.releases."""
        return self._ask("releases", "releases", {"app": app, "start": to_text(start), "end": to_text(end)}).texts("releases")

    def active(self, app: str, since: datetime) -> list[Active]:
        """See TelemetryReader.active."""
        said = self._ask("active", "active", {"app": app, "since": to_text(since)})
        return [_active(row, said) for row in said.items("active")]

    def heard(self, app: str, since: datetime) -> list[Heard]:
        """See TelemetryReader.heard."""
        said = self._ask("heard", "heard", {"app": app, "since": to_text(since)}, _UPGRADE)
        return [_heard(row, said) for row in said.items("heard")]

    def plugins(self, app: str, since: datetime) -> list[PluginUse]:
        """See TelemetryReader.plugins."""
        said = self._ask("plugins", "plugins", {"app": app, "since": to_text(since)}, _UPGRADE)
        return [_plugin_use(row, said) for row in said.items("plugins")]

    def in_use(self, app: str, since: datetime) -> frozenset[str]:
        """See TelemetryReader.in_use."""
        return frozenset(self._ask("in-use", "in-use", {"app": app, "since": to_text(since)}).texts("releases"))

    def _ask(self, path: str, schema: str, params: Mapping[str, str | None], remedy: str = _ADDRESS) -> _Said:
        text = urlencode({name: value for name, value in params.items() if value is not None})
        url = f"{self._server}/api/v1/{path}?{text}"
        subject = f"GET {harmless(url, 500)}"
        token = read_text(self._token or "", self._environ, self._root, "the token for telemetry")
        if not token.isascii() or not token.isprintable() or " " in token:
            raise _shape.broken(
                subject, "a token with other characters", expected="the token as `otagate token create` gave it"
            )
        request = Request("GET", url, (("Authorization", f"Bearer {token}"),), None, TIMEOUT_S, subject)
        answer = self._exchange.ask(request)
        try:
            return _said(answer, subject, f"otagate/{schema}/v1", remedy)
        except SourceError as error:
            raise _secrets.guarded(error, answer.body, _secrets.words_of([token])) from error


@dataclass(frozen=True, slots=True)
class _Said:
    """An answer of the right name. Its parts are looked at one by one: a server is not believed what it does not say."""

    value: Mapping[str, Any]
    body: bytes
    subject: str

    def items(self, name: str) -> list[Any]:
        found = self.value.get(name)
        if isinstance(found, list):
            return found
        raise self.broken(f"no list `{name}`")

    def texts(self, name: str) -> list[str]:
        found = self.items(name)
        if all(isinstance(item, str) for item in found):
            return found
        raise self.broken(f"`{name}` holds something that is no text")

    def broken(self, found: str) -> SourceError:
        return _shape.broken(self.subject, found, expected="what `otagate serve` of this version answers")


def _params(query: CountQuery) -> dict[str, str | None]:
    return {
        "app": query.app,
        "release": query.release,
        "channel": query.channel,
        "start": to_text(query.start),
        "end": to_text(query.end),
        "platform": query.platform,
        "plugin": query.plugin,
        "test": "true" if query.test else None,
    }


def _said(answer: Answer, subject: str, schema: str, remedy: str) -> _Said:
    if answer.status == _NOT_FOUND:
        raise _shape.broken(subject, "HTTP 404", expected=schema, remedy=remedy)
    value = _shape.parse(answer.body, subject)
    if not isinstance(value, dict) or value.get("schema") != schema:
        raise _shape.broken(subject, "another document", expected=schema, remedy=remedy)
    return _Said(value, answer.body, subject)


def _counts(said: _Said) -> Counts:
    value = said.value.get("counts")
    if not isinstance(value, dict):
        raise said.broken("no `counts`")
    if said.value.get("verify_bounds_s") != list(VERIFY_BOUNDS_S):
        raise said.broken("times to verify in other steps")
    names = [field.name for field in dataclasses.fields(Counts) if field.name not in {"verify", "newest_at"}]
    bins = value.get("verify")
    if not isinstance(bins, list) or len(bins) != len(VERIFY_BOUNDS_S) + 1:
        raise said.broken("no `verify` of the right length")
    return Counts(
        **{name: _whole(value.get(name), name, said) for name in names},
        verify=tuple(_whole(item, "verify", said) for item in bins),
        newest_at=_shape.instant(value.get("newest_at"), said.subject),
    )


def _row(row: Any, said: _Said) -> SideBySide:
    if not isinstance(row, list) or len(row) != 5 or not all(isinstance(text, str) for text in row[:3]):  # noqa: PLR2004
        raise said.broken("a row that cannot be understood")
    try:
        start = from_text(row[0])
    except ValueError:
        raise said.broken("a row without an instant") from None
    release, control = (_side(side, said) for side in row[3:])
    return SideBySide(start, row[1], row[2], release, control)


def _side(side: Any, said: _Said) -> Counts:
    if not isinstance(side, list) or len(side) != len(PLAIN):
        raise said.broken("a row with another number of columns")
    named: dict[str, Any] = {name: _whole(value, name, said) for name, value in zip(PLAIN, side, strict=True)}
    return Counts(**named)


def _active(row: Any, said: _Said) -> Active:
    channel, release, platform = _texts(row, ("channel", "release", "platform"), said)
    return Active(channel, release, platform, _devices(row, said))


def _plugin_use(row: Any, said: _Said) -> PluginUse:
    channel, plugin = _texts(row, ("channel", "plugin"), said)
    return PluginUse(channel, plugin, _devices(row, said))


def _heard(row: Any, said: _Said) -> Heard:
    hour, channel = _texts(row, ("hour", "channel"), said)
    try:
        at = from_text(hour)
    except ValueError:
        raise said.broken("an entry without an instant") from None
    return Heard(at, channel, _devices(row, said))


def _texts(row: Any, names: Sequence[str], said: _Said) -> list[str]:
    texts: list[Any] = [row.get(name) for name in names] if isinstance(row, dict) else [None]
    if not all(isinstance(text, str) for text in texts):
        raise said.broken("an entry that cannot be understood")
    return texts


def _devices(row: Mapping[str, Any], said: _Said) -> int:
    return _whole(row.get("devices"), "devices", said)


def _whole(value: Any, name: str, said: _Said) -> int:
    if type(value) is int and value >= 0:
        return value
    raise said.broken(f"`{name}` is no count of devices")
