"""The way to another maker's HTTP API: its address, its credentials, and what is refused of every answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode

from otagate._text import harmless
from otagate.gate.interface import SourceError
from otagate.gate.sources import _secrets, _shape
from otagate.gate.sources._exchange import Answer, Exchange, Pace, Request, refuse_bad_url
from otagate.gate.sources._identities import Identities

if TYPE_CHECKING:
    import httpx

    from otagate.gate.sources._signing import CloudSigner
    from otagate.identity._outside import Outside
    from otagate.policy.model.vendors import CloudAuth

MAX_GET_CHARS = 2000
"""Longer URLs are cut by some proxies."""
FORM = "application/x-www-form-urlencoded"
_NOT_FOUND = 404
_USER_INFO = re.compile(r"(?<=://)[^/?#@]*@")

Headers = tuple[tuple[str, str], ...]
Explain = Callable[[bytes], str | None]
"""Finds in the body of a refusal what the server says is wrong."""
IsBusy = Callable[[bytes], bool]
"""Tells whether a body says "not now"."""


@dataclass(frozen=True, slots=True)
class Wire:
    """What every source is opened with.

    Attributes:
        root: Where relative paths start.
        environ: Where ``env:`` references are looked up.
        pace: Time and chance; None: the real ones.
        transport: Replaces the network; None: the network.
        outside: Replaces that of an identity; None: the network, the clock and the machine.
        identities: Who we are to the clouds, shared with other sources.
    """

    root: Path
    environ: Mapping[str, str]
    pace: Pace | None = None
    transport: httpx.BaseTransport | None = None
    outside: Outside | None = None
    identities: Identities = field(default_factory=Identities)

    def secret(self, reference: str, subject: str) -> str:
        """Read a credential; see :func:`otagate.gate.sources._secrets.read`."""
        return _secrets.read(reference, self.environ, self.root, subject)

    def signer(self, auth: CloudAuth, url: str, *, service: str = "monitoring", region: str | None = None) -> CloudSigner:
        """Sign for one endpoint of a cloud; see :class:`otagate.gate.sources._signing.CloudSigner`."""
        from otagate.gate.sources._signing import CloudSigner  # noqa: PLC0415 - only who asks a cloud pays

        return CloudSigner(
            auth, url, self.environ, service=service, region=region, outside=self.outside, identities=self.identities
        )


@dataclass(frozen=True, slots=True)
class _Sent:
    method: str
    url: str
    body: str | None = None
    headers: Headers = ()


class Door:
    """Asks one API. ``words`` of its headers never stand in a message, whatever the server repeats."""

    def __init__(
        self,
        wire: Wire,
        url: str,
        headers: Headers,
        timeout: timedelta,
        *,
        signer: CloudSigner | None = None,
        is_busy: IsBusy | None = None,
    ) -> None:
        """Ask below ``url`` with these headers (values that are already read), and signed where there is a ``signer``.

        ``is_busy`` knows the bodies that mean "not now" whatever their status: such a question is asked again.
        """
        self._exchange = Exchange(wire.pace or Pace(), wire.environ.get("SSL_CERT_FILE"), wire.transport)
        self._url = url.rstrip("/")
        self._headers = headers
        self._timeout_s = timeout.total_seconds()
        self._signer = signer
        self._is_busy = is_busy
        self.words = _secrets.words_of([*(value for _, value in headers), *_user_info(url)])

    def query(self, path: str, fields: Mapping[str, str], subject: str, explain: Explain) -> Answer:
        """Ask with fields in the URL, or as a form where that would be too long."""
        # Spaces as %20: in a URL, what signs it and what checks the signature need not agree on "+".
        form = urlencode(fields, quote_via=quote)
        url = f"{self._url}{path}?{form}"
        if len(url) <= MAX_GET_CHARS:
            return self._ask(_Sent("GET", url), subject, explain)
        return self._ask(_Sent("POST", f"{self._url}{path}", form, (("Content-Type", FORM),)), subject, explain)

    def get(self, path: str, fields: Mapping[str, str], subject: str, explain: Explain) -> Answer:
        """Ask with fields in the URL."""
        return self._ask(_Sent("GET", f"{self._url}{path}?{urlencode(fields, quote_via=quote)}"), subject, explain)

    def post(self, path: str, body: str, headers: Headers, subject: str, explain: Explain) -> Answer:
        """Ask with a body."""
        return self._ask(_Sent("POST", f"{self._url}{path}", body, headers), subject, explain)

    def _ask(self, sent: _Sent, subject: str, explain: Explain) -> Answer:
        refuse_bad_url(sent.url, subject)
        headers = (*self._headers, *sent.headers)
        if self._signer is not None:
            headers = self._signer.headers_for(sent.method, sent.url, sent.body, headers, subject)
        words = _secrets.words_of([*self.words, *(value for name, value in headers if name == "Authorization")])

        def told(refusal: bytes) -> str | None:
            text = explain(refusal)
            return None if text is None else _secrets.hidden(text, words)

        request = Request(sent.method, sent.url, headers, sent.body, self._timeout_s, subject, told, self._is_busy)
        answer = self._exchange.ask(request)
        if answer.status == _NOT_FOUND:
            raise _shape.broken(subject, f"HTTP 404{_reason(told(answer.body))}", remedy="check `url` of the source")
        return answer

    @property
    def secrets(self) -> tuple[str, ...]:
        """``words``, and what signed the last request."""
        return self.words if self._signer is None else (*self.words, *self._signer.words)

    def guarded(self, error: SourceError, body: bytes) -> SourceError:
        """Make an error about an answer show nothing of it when the answer holds a credential."""
        return _secrets.guarded(error, body, self.secrets)


def _user_info(url: str) -> list[str]:
    found = _USER_INFO.search(url)
    return [] if found is None else [unquote(part) for part in found[0].rstrip("@").split(":", 1)]


def _reason(text: str | None) -> str:
    return f": {harmless(text, 300)}" if text else ""


def address(url: str) -> str:
    """Write a URL for messages: without a password in it."""
    return harmless(_USER_INFO.sub("", url).rstrip("/"), 200)


def document(answer: Answer, subject: str) -> Any:
    """Parse an answer as strict JSON.

    Raises:
        SourceError: It is none; a log-in page is named as such.
    """
    if "html" in answer.content_type.lower():
        remedy = "check the URL and the credentials: this may be a log-in page"
        raise _shape.broken(subject, "an HTML page", expected="JSON", remedy=remedy)
    return _shape.parse(answer.body, subject)


def json_or_none(body: bytes) -> Any:
    """Parse the body of a refusal, or give None: it is only for people."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
