"""Counts, or a plain number, from a JSON answer over HTTP."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otagate._text import harmless
from otagate.gate.interface import Ask, Independent, Measurement, MetricQuery, SourceError
from otagate.gate.sources import _dotted, _fill, _secrets, _shape
from otagate.gate.sources._exchange import Answer, Exchange, Pace, Request
from otagate.policy.model.sources import HttpSource

if TYPE_CHECKING:
    import httpx

_WHOLE = re.compile(r"([0-9]{1,13})(?:\.0{1,17})?", re.ASCII)
_PLAIN = re.compile(r"-?[0-9]{1,17}(?:\.[0-9]{1,17})?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_USER_INFO = re.compile(r"(?<=://)[^/?#@]*@")
_NOT_FOUND = 404


class HttpMetrics(Independent):
    """See MetricSource. Whole numbers may also come as ``12.0``, ``"12"`` or ``"12.0"``: many metric stores have no other."""

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
        given = {"bad": spec.bad, "total": spec.total, "value": spec.value, "newest_at": spec.newest_at}
        self._paths = {name: (path, _dotted.parse(path, name)) for name, path in given.items() if path is not None}

    def read(self, query: MetricQuery) -> Measurement:
        """See MetricSource.read."""
        spec = self._spec
        url = _fill.in_url(spec.url, query)
        body = None if spec.body is None else _fill.in_json(spec.body, query)
        subject = f"{spec.method} {harmless(_USER_INFO.sub('***@', url), 500)}"
        _shape.refuse_contrast(query, subject)
        if query.over is not None and not _fill.asks_over(spec.url, spec.body):
            raise _shape.broken(subject, "one count for several limits", remedy="use {over} in `url` or `body` of the source")
        self._refuse_no_path(query, subject)
        headers = self._headers(subject)
        request = Request(spec.method, url, headers, body, spec.timeout.total_seconds(), subject)
        answer = self._exchange.ask(request)
        asked = subject if body is None else f"{subject} {harmless(body, 500)}"
        words = _secrets.words_of(value for _, value in headers)
        try:
            return self._measurement(answer, query, _secrets.hidden(asked, words), subject)
        except SourceError as error:
            raise _secrets.guarded(error, answer.body, words) from error

    def _refuse_no_path(self, query: MetricQuery, subject: str) -> None:
        for name in ("value",) if query.ask is Ask.VALUE else ("bad", "total"):
            if name not in self._paths:
                raise _shape.broken(subject, f"no path for {name}", remedy=f"add `{name}` to the source")

    def _measurement(self, answer: Answer, query: MetricQuery, asked: str, subject: str) -> Measurement:
        digest = hashlib.sha256(answer.body).hexdigest()
        if answer.status == _NOT_FOUND:
            return Measurement(None, None, None, f"{asked} (HTTP 404)", digest)
        answered = _parse(answer, subject)
        if query.ask is Ask.VALUE:
            value = _shape.number(_number(self._find(answered, "value", subject)), "value", subject)
            return Measurement(None, None, self._newest(answered, subject, has_data=value is not None), asked, digest, value)
        total = _count(self._find(answered, "total", subject), "total", subject)
        bad = _count(self._find(answered, "bad", subject), "bad", subject)
        if bad is None and total:
            raise _shape.no_bad(subject)
        return Measurement(bad, total, self._newest(answered, subject, has_data=bool(total)), asked, digest)

    def _newest(self, answered: Any, subject: str, *, has_data: bool) -> datetime | None:
        if "newest_at" not in self._paths:
            return None
        found = self._find(answered, "newest_at", subject)
        # A policy that names the newest observation wants its age checked; an answer without it must not switch that off.
        if found is None and has_data:
            raise _shape.broken(subject, f"nothing at `{self._paths['newest_at'][0]}`", expected="newest_at")
        return _shape.instant(found, subject)

    def _find(self, answered: Any, name: str, subject: str) -> Any:
        text, path = self._paths[name]
        try:
            found = _dotted.lookup(answered, path)
        except _dotted.ManyError as error:
            raise _shape.broken(
                subject,
                f"a list of {error.args[0]} elements on the way of `{harmless(text)}`",
                expected=f"one value for {name}",
                remedy="narrow the query to one series, or name the place such as [0]",
            ) from error
        return None if found is _dotted.MISSING else found

    def _headers(self, subject: str) -> tuple[tuple[str, str], ...]:
        return tuple(
            (name, _secrets.read(value, self._environ, self._root, f"{subject}, header {harmless(name)}"))
            for name, value in self._spec.headers
        )


def _parse(answer: Answer, subject: str) -> Any:
    if "html" in answer.content_type.lower():
        raise _shape.broken(
            subject, "an HTML page", expected="JSON", remedy="check the URL and the credentials: this may be a log-in page"
        )
    return _shape.parse(answer.body, subject)


def _count(value: Any, name: str, subject: str) -> int | None:
    if isinstance(value, str) and (whole := _WHOLE.fullmatch(value)):
        return int(whole[1])
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return _shape.count(value, name, subject)


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, str) and _PLAIN.fullmatch(value) else value
