"""One POST to a control service, with retries, bounds and plain words for what goes wrong. Answers are never trusted."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from otagate._client import open_client
from otagate._retry import Again, Patience, persist, retry_after
from otagate._text import harmless
from otagate._watch import Watch
from otagate.errors import AccessError, NotFoundError, OtagateError, UnavailableError, UsageError

if TYPE_CHECKING:
    import httpx

_MAX_ANSWER_BYTES = 64 * 1024
_TIMEOUT_S = 30.0
_DENIED = frozenset({401, 403})
_NOT_FOUND = 404
_PASSING = frozenset({408, 409, 425, 429, *range(500, 600)})
_SUCCESS = range(200, 300)
_BUSY = re.compile(r"TooManyInvalidationsInProgress|Throttl|RateExceeded|rateLimitExceeded|resourceNotReady", re.ASCII)
"""CloudFront and Google say some of this with status 400 or 403. **Source:** the services' own lists of errors."""
_LOOPBACK = re.compile(r"http://(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?(?:/.*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Wire:
    """Time, chance and the network, so that tests need none of them. ``transport`` replaces the network when given."""

    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    transport: httpx.BaseTransport | None = None
    timeout_s: float = _TIMEOUT_S
    """For one attempt, from the connection to the answer's last byte."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. ``url`` and ``headers`` may hold secrets; ``secrets`` are taken out of all that is shown."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes
    secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a request is for, in words.

    Attributes:
        where: Names the CDN; no secret.
        permission: What the identity needs.
        is_quiet: The answer's text is not shown: it comes from an address that is a secret itself and may repeat it.
    """

    where: str
    permission: str
    is_quiet: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a success."""

    headers: Mapping[str, str]
    text: str


class _PassingError(Exception):
    def __init__(self, found: str, after: float | None = None) -> None:
        super().__init__(found)
        self.found = found
        self.after = after


def post(make: Callable[[], Request], target: Target, wire: Wire, patience: Patience | None = None) -> Answer:
    """Send what ``make`` gives; it is called for each attempt, because signatures and tokens grow old. Redirects are refused.

    Raises:
        AccessError: 401 or 403.
        NotFoundError: 404.
        UsageError: Another status that trying again does not change.
        UnavailableError: No answer after retries.
    """
    try:
        return persist(
            lambda: _attempt(make(), target, wire),
            lambda error: Again(error.after) if isinstance(error, _PassingError) else None,
            patience,
            sleep=wire.sleep,
            monotonic=wire.monotonic,
            jitter=wire.jitter,
        )
    except _PassingError as error:
        remedy = "run the command again; until then old copies may be served"
        raise UnavailableError("the CDN could not be told", target.where, found=error.found, remedy=remedy) from error


def _attempt(request: Request, target: Target, wire: Wire) -> Answer:
    import httpx  # noqa: PLC0415 - only who tells a CDN pays for it

    watch = Watch(wire.timeout_s)
    headers = {"User-Agent": "otagate", "Accept-Encoding": "identity", **request.headers}
    trace = {"trace": watch.trace}
    try:
        with (
            watch.running(),
            # A client of its own: the watch learns of a connection when it is made.
            open_client(timeout=wire.timeout_s, transport=wire.transport, follow_redirects=False) as client,
            client.stream("POST", request.url, headers=headers, content=request.body, extensions=trace) as response,
        ):
            text = "" if target.is_quiet else _text(response, wire)
    except httpx.InvalidURL as error:
        raise UsageError("the address of the CDN is not one", target.where, remedy="mend what `cdn` names") from error
    except httpx.TimeoutException as error:
        raise _PassingError(_late(wire)) from error
    except httpx.HTTPError as error:
        # The library's words may repeat the address, which may be a secret.
        found = type(error).__name__ if target.is_quiet else f"{type(error).__name__}: {_shown(str(error), request.secrets)}"
        raise _PassingError(_late(wire) if watch.has_ended else found) from error
    # What was read while the watch ended the attempt may be a part of an answer.
    if watch.has_ended:
        raise _PassingError(_late(wire))
    if response.status_code in _SUCCESS:
        return Answer(response.headers, text)
    raise _refused(response, text, request, target)


def _late(wire: Wire) -> str:
    return f"no answer within {wire.timeout_s:g}s"


def _text(response: httpx.Response, wire: Wire) -> str:
    body, until = bytearray(), wire.monotonic() + wire.timeout_s
    for piece in response.iter_raw():
        body += piece
        if len(body) > _MAX_ANSWER_BYTES or wire.monotonic() > until:
            break
    return bytes(body[:_MAX_ANSWER_BYTES]).decode("utf-8", errors="replace")


def _refused(response: httpx.Response, text: str, request: Request, target: Target) -> Exception:
    status = response.status_code
    words = "" if target.is_quiet else _shown(_reason(text), request.secrets)
    found = f"HTTP {status}: {words}" if words else f"HTTP {status}"
    if status in _PASSING or _BUSY.search(words):
        return _PassingError(found, retry_after(response.headers.get("Retry-After")))
    return _lasting(status, found, target)


def _lasting(status: int, found: str, target: Target) -> OtagateError:
    what = "the CDN could not be told"
    if status in _DENIED:
        remedy = f"grant {target.permission}; `otagate doctor` shows which identity is in use, docs/cdn.md the policy to paste"
        return AccessError(what, target.where, target.permission, found, remedy)
    if status == _NOT_FOUND:
        return NotFoundError(what, target.where, "a CDN that exists", found, "mend what `cdn` names in the policy")
    return UsageError(what, target.where, "a request that the service accepts", found, "mend what `cdn` names; see docs/cdn.md")


def _reason(text: str) -> str:
    """Find a code and a sentence in an error of AWS (XML), Google or Azure (JSON); empty when there are none."""
    tags = [re.search(rf"<{tag}>([^<]{{1,400}})</{tag}>", text) for tag in ("Code", "Message")]
    if any(tags):
        return ": ".join(tag[1].strip() for tag in tags if tag)
    error = as_object(text).get("error")
    if not isinstance(error, dict):
        return ""
    found = [str(error[name]) for name in ("status", "code", "message") if isinstance(error.get(name), str | int)]
    reasons = [item.get("reason") for item in error.get("errors", ()) if isinstance(item, dict)] if _has_errors(error) else []
    return ": ".join(found + [str(reason) for reason in reasons if isinstance(reason, str)])


def _has_errors(error: dict[str, Any]) -> bool:
    return isinstance(error.get("errors"), list)


def as_object(text: str) -> dict[str, Any]:
    """Read a JSON object; an empty one when the text is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _shown(text: str, secrets: tuple[str, ...]) -> str:
    # AWS repeats the signed headers, and with them the session token, when a signature does not fit.
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return harmless(" ".join(text.split()), 300)


def endpoint(environ: Mapping[str, str], name: str, default: str, *, local_only: bool) -> str:
    """Give a service's address, which a variable may replace; http only on this machine.

    Raises:
        UsageError: The variable holds an address that credentials are not sent to.
    """
    value = environ.get(name, "").strip().rstrip("/")
    if not value:
        return default
    if not _LOOPBACK.fullmatch(value) and (local_only or not re.fullmatch(r"https://[A-Za-z0-9.-]+(?::\d+)?(?:/\S*)?", value)):
        kinds = "an address on this machine" if local_only else "https://HOST (http on this machine only)"
        raise UsageError("credentials are not sent to this address", name, expected=kinds, found=harmless(value, 100))
    return value


def is_web(url: str) -> bool:
    """Say whether an address is https, or http on this machine, and names a host without a user or password."""
    return bool(_LOOPBACK.fullmatch(url) or re.fullmatch(r"https://[A-Za-z0-9._\[\]:-]+(?:[/?][^\s#]*)?", url, re.ASCII))
