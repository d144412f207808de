"""Counts from a JSON answer over HTTP."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otagate._text import harmless
from otagate.gate.interface import Measurement, MetricQuery, SourceError
from otagate.gate.sources import _dotted, _fill, _secrets, _shape
from otagate.gate.sources._exchange import Answer, Exchange, Pace, Request
from otagate.policy.model import HttpSource

if TYPE_CHECKING:
    import httpx

_WHOLE = re.compile(r"[0-9]{1,13}", re.ASCII)
_USER_INFO = re.compile(r"(?<=://)[^/?#@]*@")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]+", re.ASCII)
_NOT_FOUND = 404


class HttpMetrics:
    """See MetricSource. Whole numbers may also come as ``12.0`` or ``"12"``: many metric stores have no other."""

    def __init__(
        self,
        spec: HttpSource,
        root: Path,
        environ: Mapping[str, str],
        *,
        pace: Pace | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Ask ``spec.url``; header values are read from ``environ`` and, below ``root``, from files when it is asked.

        ``transport`` replaces the network.

        Raises:
            PolicyError: A path into the answer is malformed.
        """
        self._spec = spec
        self._root = root
        self._environ = environ
        self._exchange = Exchange(pace or Pace(), environ.get("SSL_CERT_FILE"), transport)
        self._bad = _dotted.parse(spec.bad, "bad")
        self._total = _dotted.parse(spec.total, "total")
        self._newest_at = None if spec.newest_at is None else _dotted.parse(spec.newest_at, "newest_at")

    def read(self, query: MetricQuery) -> Measurement:
        """See MetricSource.read."""
        spec = self._spec
        url = _fill.in_url(spec.url, query)
        body = None if spec.body is None else _fill.in_json(spec.body, query)
        subject = f"{spec.method} {harmless(_USER_INFO.sub('***@', url), 500)}"
        if query.over is not None and not _fill.asks_over(spec.url, spec.body):
            raise _shape.broken(subject, "one count for several limits", remedy="use {over} in `url` or `body` of the source")
        headers = self._headers(subject)
        request = Request(spec.method, url, headers, body, spec.timeout.total_seconds(), subject)
        answer = self._exchange.ask(request)
        asked = subject if body is None else f"{subject} {harmless(body, 500)}"
        words = _secrets.words_of(value for _, value in headers)
        try:
            return self._measurement(answer, _secrets.hidden(asked, words), subject)
        except SourceError as error:
            raise _secrets.guarded(error, answer.body, words) from error

    def _measurement(self, answer: Answer, asked: str, subject: str) -> Measurement:
        digest = hashlib.sha256(answer.body).hexdigest()
        if answer.status == _NOT_FOUND:
            return Measurement(None, None, None, f"{asked} (HTTP 404)", digest)
        value = _parse(answer, subject)
        total = _count(_find(value, self._total, "total", self._spec.total, subject), "total", subject)
        bad = _count(_find(value, self._bad, "bad", self._spec.bad, subject), "bad", subject)
        if bad is None and total:
            raise _shape.no_bad(subject)
        newest = None
        if self._newest_at is not None:
            found = _find(value, self._newest_at, "newest_at", str(self._spec.newest_at), subject)
            # A policy that names the newest observation wants its age checked; an answer without it must not switch that off.
            if found is None and total:
                raise _shape.broken(subject, f"nothing at `{self._spec.newest_at}`", expected="newest_at")
            newest = _shape.instant(found, subject)
        return Measurement(bad, total, newest, asked, digest)

    def _headers(self, subject: str) -> tuple[tuple[str, str], ...]:
        return tuple((name, self._header(name, value, subject)) for name, value in self._spec.headers)

    def _header(self, name: str, value: str, subject: str) -> str:
        if value.startswith("env:"):
            found = self._environ.get(value.removeprefix("env:"), "")
        elif value.startswith("file:"):
            found = self._secret(self._root / value.removeprefix("file:"), value, subject)
        else:
            found = value
        found = found.strip()
        if not _HEADER_VALUE.fullmatch(found):
            # The value itself is never shown: it is a secret.
            raise SourceError(
                "a header of a metric source has no usable value",
                subject=f"{subject}, header {harmless(name)}",
                expected="one line of ASCII",
                found="nothing" if not found else "other characters",
                remedy=f"set {harmless(value)}" if value.startswith(("env:", "file:")) else "mend `headers` of the source",
            )
        return found

    def _secret(self, path: Path, reference: str, subject: str) -> str:
        try:
            return path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SourceError(
                "the file of a header's value cannot be read",
                subject=f"{subject}, {harmless(reference)}",
                found=getattr(error, "strerror", None) or "no UTF-8 text",
                remedy="check the path and its permissions",
            ) from error


def _parse(answer: Answer, subject: str) -> Any:
    if "html" in answer.content_type.lower():
        raise _shape.broken(
            subject, "an HTML page", expected="JSON", remedy="check the URL and the credentials: this may be a log-in page"
        )
    return _shape.parse(answer.body, subject)


def _find(value: Any, path: _dotted.Path, name: str, text: str, subject: str) -> Any:
    try:
        found = _dotted.lookup(value, path)
    except _dotted.ManyError as error:
        raise _shape.broken(
            subject,
            f"a list of {error.args[0]} elements on the way of `{harmless(text)}`",
            expected=f"one value for {name}",
            remedy="narrow the query to one series, or name the place such as [0]",
        ) from error
    return None if found is _dotted.MISSING else found


def _count(value: Any, name: str, subject: str) -> int | None:
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return _shape.count(value, name, subject)
