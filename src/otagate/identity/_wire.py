"""One question to a token service: bounded in time and size, tried again, never redirected; no proxy for metadata services."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from otagate._client import open_client
from otagate._retry import Again, Patience, persist, retry_after
from otagate._text import harmless
from otagate._watch import Watch
from otagate.errors import UnavailableError, UsageError
from otagate.identity import _words
from otagate.identity._outside import Outside

if TYPE_CHECKING:
    import httpx

EXCHANGE = Patience(total=30.0)
METADATA = Patience(total=6.0, longest=1.0)
"""A metadata service is one hop away: it answers at once, or it is not there."""
_MAX_BYTES = 1024 * 1024
_TRY_S, _METADATA_TRY_S = 10.0, 2.0
_TOO_MANY = 429
_ENDLESS = "an answer that is too large, or does not end"
_SLOW = frozenset({408, 425, _TOO_MANY, *range(500, 600)})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: any status that is not worth another try."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_fine(self) -> bool:
        """Whether the service did as asked."""
        return self.status == 200  # noqa: PLR2004 - every token service says 200


def _never(_: Answer) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Ask:
    """A question.

    Attributes:
        doing: Completes "cannot …" in messages.
        method: GET, PUT or POST.
        url: An address that :func:`otagate.identity._words.address` found good.
        headers: Sent as they are; kept out of messages.
        form: Sent as a form; kept out of messages.
        body: Sent as it is, when there is no form; kept out of messages.
        is_local: It goes to a metadata service: short waits, no proxy.
        is_patient: Of a metadata service that may have to ask another service first.
        is_slow: Says of an answer that another try may help although its status does not say so.
    """

    doing: str
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    body: bytes | None = field(default=None, repr=False)
    is_local: bool = False
    is_patient: bool = False
    is_slow: Callable[[Answer], bool] = _never

    @property
    def where(self) -> str:
        """Give the address without query, for messages: some carry a secret there."""
        parts = urlsplit(self.url)
        return harmless(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}", 200)


class NobodyThereError(UnavailableError):
    """No try got any answer: nothing listens at that address, or nothing lets us through."""

    __hash__ = Exception.__hash__


class _TryAgainError(Exception):
    def __init__(self, found: str, after: float | None) -> None:
        super().__init__(found)
        self.after = after


def send(ask: Ask, outside: Outside) -> Answer:
    """Ask, again and again while the service is slow or gone.

    Raises:
        UnavailableError: There was no usable answer in time; NobodyThereError when there was none at all.
        UsageError: The address or a header cannot be sent.
    """
    import httpx  # noqa: PLC0415 - only who uses an identity pays for it

    def verdict(error: Exception) -> Again | None:
        if isinstance(error, _TryAgainError):
            return Again(error.after)
        is_ours = isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol)
        return Again() if isinstance(error, httpx.TransportError) and not is_ours else None

    patience = METADATA if ask.is_local else EXCHANGE
    try:
        return persist(
            lambda: _try(ask, outside),
            verdict,
            patience,
            sleep=outside.sleep,
            monotonic=outside.monotonic,
            jitter=random.random,
        )
    except _TryAgainError as error:
        raise _unavailable(ask, str(error), UnavailableError) from error
    except (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError):
        # The text of such an error holds what cannot be sent, and that may be a secret.
        found = "the token or the address of the environment holds characters that cannot be sent"
        raise UsageError(f"cannot {ask.doing}", ask.where, None, found, "look for line breaks and the like in it") from None
    except httpx.TransportError as error:
        raise _unavailable(ask, f"{type(error).__name__}: {_words.said(str(error))}", NobodyThereError) from error


def _try(ask: Ask, outside: Outside) -> Answer:
    import httpx  # noqa: PLC0415 - likewise

    limit = _METADATA_TRY_S if ask.is_local and not ask.is_patient else _TRY_S
    end = outside.monotonic() + limit
    timeout = httpx.Timeout(limit, connect=_METADATA_TRY_S if ask.is_local else limit)
    # A proxy of the environment may carry TLS; without it, on this machine or to a metadata service, it would see the token.
    is_proxy_fine = ask.url.startswith("https:") and not ask.is_local
    client = open_client(timeout=timeout, follow_redirects=False, trust_env=is_proxy_fine, transport=outside.transport)
    watch = Watch(limit)
    with watch.running(), client, _sent(ask, client, watch) as response:
        answer = Answer(response.status_code, _body(response, end, outside), dict(response.headers))
    # What was read while the watch ended the try may be a part of an answer.
    if watch.has_ended:
        raise _TryAgainError(_ENDLESS, None)
    if answer.status in _SLOW or ask.is_slow(answer):
        raise _TryAgainError(f"HTTP {answer.status}", retry_after(response.headers.get("Retry-After"), outside.now()))
    return answer


@contextmanager
def _sent(ask: Ask, client: httpx.Client, watch: Watch) -> Iterator[httpx.Response]:
    import httpx  # noqa: PLC0415 - likewise

    trace, headers = {"trace": watch.trace}, _headers(ask)
    try:
        with client.stream(ask.method, ask.url, headers=headers, data=ask.form, content=ask.body, extensions=trace) as response:
            yield response
    except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
        if not watch.has_ended:
            raise
        raise httpx.ReadTimeout("no complete answer in time") from error


def _body(response: httpx.Response, end: float, outside: Outside) -> bytes:
    body = bytearray()
    for piece in response.iter_bytes():
        body += piece
        if len(body) > _MAX_BYTES or outside.monotonic() > end:
            raise _TryAgainError(_ENDLESS, None)
    return bytes(body)


def _headers(ask: Ask) -> httpx.Headers:
    import httpx  # noqa: PLC0415 - likewise

    return httpx.Headers({"User-Agent": "otagate", "Accept": "application/json", "Accept-Encoding": "identity", **ask.headers})


def _unavailable(ask: Ask, found: str, kind: type[UnavailableError]) -> UnavailableError:
    return kind(f"cannot {ask.doing}", ask.where, "an answer within the time limit", found, "run the command again")
