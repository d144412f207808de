"""One question over HTTP, with bounds on everything: tries, time, size, redirects."""

from __future__ import annotations

import random
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from otagate._retry import retry_after
from otagate._text import harmless
from otagate._watch import Watch
from otagate.gate.interface import SourceError
from otagate.gate.sources import _secrets
from otagate.gate.sources._shape import MAX_BYTES

if TYPE_CHECKING:
    import httpx

TRIES = 3
TOTAL_S = 60.0
"""All tries and the waits between them together."""
FIRST_WAIT_S = 0.5
LARGEST_WAIT_S = 8.0
_RETRIED = frozenset({408, 425, 429, *range(500, 600)})
_NOT_ALL = frozenset({202, 206})
"""Accepted, but not done; a part of the content. **Source:** RFC 9110."""
_NOT_FOUND = 404
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Pace:
    """Time and chance, so that tests need neither.

    Attributes:
        sleep: Waits that many seconds.
        monotonic: Seconds that only grow.
        now: The instant, for a ``Retry-After`` that is a date.
        jitter: Picks a number between 0 and its argument.
    """

    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(tz=UTC)
    jitter: Callable[[float], float] = lambda most: random.uniform(0, most)  # noqa: S311 - only spreads load


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. ``headers`` hold secrets: they are kept out of every message and of ``repr``.

    ``explain`` finds in the body of a refusal what the server says is wrong, or gives None: the reason stands in the message.
    ``is_busy`` knows the bodies by which a server says "not now" with a status that means something else.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: str | None
    timeout_s: float
    subject: str
    explain: Callable[[bytes], str | None] | None = field(default=None, repr=False)
    is_busy: Callable[[bytes], bool] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: HTTP 2xx or 404, and at most :data:`MAX_BYTES` of body."""

    status: int
    content_type: str
    body: bytes


class _TryAgainError(Exception):
    """This try failed in a way that another may not."""

    def __init__(self, found: str, wait_s: float | None = None) -> None:
        super().__init__(found)
        self.found = found
        self.wait_s = wait_s


class Exchange:
    """Asks a question with up to :data:`TRIES` tries within :data:`TOTAL_S` seconds."""

    def __init__(self, pace: Pace, ca_file: str | None = None, transport: httpx.BaseTransport | None = None) -> None:
        """Use ``ca_file`` instead of the usual authorities, and ``transport`` instead of the network, when given."""
        self._pace = pace
        self._ca_file = ca_file
        self._transport = transport

    def ask(self, request: Request) -> Answer:
        """Ask.

        Raises:
            SourceError: No usable answer within the bounds. Nothing of the headers stands in it.
        """
        refuse_bad_url(request.url, request.subject)
        deadline = self._pace.monotonic() + TOTAL_S
        number = 0
        while True:
            number += 1
            try:
                return self._try(request, min(deadline, self._pace.monotonic() + request.timeout_s))
            except _TryAgainError as problem:
                wait = self._wait(number, problem)
                if number == TRIES or self._pace.monotonic() + wait >= deadline:
                    tries = f"{number} tries" if number > 1 else "1 try"
                    raise _failed(request, f"{problem.found} ({tries})", "try again later") from problem
                self._pace.sleep(wait)

    def _wait(self, number: int, problem: _TryAgainError) -> float:
        jitter = self._pace.jitter(min(LARGEST_WAIT_S, FIRST_WAIT_S * 2**number))
        # Several sources of one look may have been told the same instant: they do not come back all at once.
        return jitter if problem.wait_s is None else problem.wait_s + jitter

    def _try(self, request: Request, until: float) -> Answer:
        import httpx  # noqa: PLC0415 - only a policy with http sources pays for it

        watch = Watch(until - self._pace.monotonic())
        try:
            with watch.running(), self._client(request, until) as client, self._send(client, request, watch) as response:
                answer = self._take(request, response, until)
        except httpx.TimeoutException as error:
            raise _TryAgainError(f"no answer within {request.timeout_s:g}s") from error
        except httpx.HTTPError as error:
            found = f"no complete answer within {request.timeout_s:g}s" if watch.has_ended else _told(error, request)
            raise _TryAgainError(found) from error
        # What was read while the watch ended the try may be anything.
        if watch.has_ended:
            raise _TryAgainError(f"no complete answer within {request.timeout_s:g}s")
        return answer

    def _client(self, request: Request, until: float) -> httpx.Client:
        import httpx  # noqa: PLC0415 - likewise

        try:
            verify = ssl.create_default_context(cafile=self._ca_file) if self._ca_file else True
        except OSError as error:
            raise _failed(request, "the authorities in SSL_CERT_FILE cannot be read", "mend or unset SSL_CERT_FILE") from error
        left = max(0.001, until - self._pace.monotonic())
        # Neither proxies nor .netrc of the environment: a policy says where its numbers come from.
        return httpx.Client(timeout=left, follow_redirects=False, trust_env=False, verify=verify, transport=self._transport)

    def _send(self, client: httpx.Client, request: Request, watch: Watch) -> Any:
        import httpx  # noqa: PLC0415 - likewise

        headers = httpx.Headers({"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "otagate"})
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        headers.update(dict(request.headers))
        body = None if request.body is None else request.body.encode("utf-8")
        extensions = {"trace": watch.trace}
        return client.stream(request.method, request.url, headers=headers, content=body, extensions=extensions)

    def _take(self, request: Request, response: httpx.Response, until: float) -> Answer:
        if response.is_redirect:
            raise _failed(
                request, f"HTTP {response.status_code}, a redirect; none is followed", "write the final URL into the policy"
            )
        status = response.status_code
        if status in _NOT_ALL:
            raise _failed(request, f"HTTP {status}, which is not the whole answer", "ask for a whole one in the source's URL")
        is_answer = response.is_success or status == _NOT_FOUND
        body = self._body(request, response, until) if is_answer or request.explain is not None else b""
        if status in _RETRIED or (request.is_busy is not None and request.is_busy(body)):
            wait = _wait_told(response.headers, self._pace.now())
            raise _TryAgainError(f"HTTP {status}{_reason(request, body)}", wait)
        if not is_answer:
            found = f"HTTP {status}{_reason(request, body)}"
            raise _failed(request, found, "check the URL, the query and the credentials of the source")
        return Answer(status, response.headers.get("Content-Type", ""), body)

    def _body(self, request: Request, response: httpx.Response, until: float) -> bytes:
        body = bytearray()
        for piece in response.iter_bytes():
            body += piece
            if len(body) > MAX_BYTES:
                raise _failed(request, f"more than {MAX_BYTES} bytes", "narrow the query of the source")
            if self._pace.monotonic() > until:
                raise _TryAgainError(f"no complete answer within {request.timeout_s:g}s")
        return bytes(body)


def refuse_bad_url(url: str, subject: str) -> None:
    """Refuse what is no http or https URL.

    Raises:
        SourceError: It is none.
    """
    import httpx  # noqa: PLC0415 - only a policy with http sources pays for it

    try:
        parts, known = httpx.URL(url), urlsplit(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise _no_url(subject) from error
    # A port beyond the last would only be noticed by the socket, as an overflow.
    if parts.scheme not in {"http", "https"} or not parts.host or not known.netloc or (parts.port or 0) > _LAST_PORT:
        raise _no_url(subject)


def _no_url(subject: str) -> SourceError:
    found, remedy = "this is no http or https URL", "mend `url` of the source"
    return SourceError("a metric source failed", subject=subject, found=found, remedy=remedy)


def _reason(request: Request, body: bytes) -> str:
    text = None if request.explain is None else request.explain(body)
    words = _secrets.words_of(value for _, value in request.headers)
    # Hidden before it is cut: a half of a credential would not be known again.
    return f": {harmless(_secrets.hidden(text, words), 300)}" if text else ""


def _wait_told(headers: Mapping[str, str], now: datetime) -> float | None:
    wait = retry_after(headers.get("Retry-After"), now)
    if wait is not None:
        return wait
    # Datadog tells the seconds to wait by a name of its own, under which others tell an instant; Sentry tells an instant.
    if re.fullmatch(r"[0-9]{1,6}", reset := headers.get("X-RateLimit-Reset", "")):
        return float(reset)
    if re.fullmatch(r"[0-9]{9,11}", instant := headers.get("X-Sentry-Rate-Limit-Reset", "")):
        return max(0.0, float(instant) - now.timestamp())
    return None


def _told(error: Exception, request: Request) -> str:
    text = _secrets.hidden(str(error), _secrets.words_of(value for _, value in request.headers))
    return f"{type(error).__name__}: {harmless(text)}"


def _failed(request: Request, found: str, remedy: str) -> SourceError:
    return SourceError("a metric source failed", subject=request.subject, found=found, remedy=remedy)
