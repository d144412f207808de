"""One POST to a place that is told: bounded in time, no redirects, one more try; and nothing secret in what goes wrong.

Addresses of chats are secrets: whoever has one may write there. So nothing of an address, nothing of an answer except a
short code, and no words of the HTTP library get into an error.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from otagate._client import open_client
from otagate._retry import retry_after
from otagate._watch import Watch
from otagate.errors import UsageError
from otagate.notify.interface import NotifyError

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 10.0
"""For one attempt, from the connection to the answer's last byte."""
LONGEST_WAIT_S = 5.0
"""A place that asks for more gets its message at the next reconcile."""
_WAIT_S = 1.0
_MAX_CODE_BYTES = 80
_PASSING = frozenset({408, 425, 429, *range(500, 600)})
_CODE = re.compile(r"[a-z]+(?:_[a-z]+){0,7}", re.ASCII)
"""How Slack names what is wrong, such as ``channel_is_archived``."""
_MAX_ADDRESS_CHARS = 4096
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_REST = r"(?::[0-9]{1,5})?(?:[/?][!-\"$-~]*)?"
_HTTPS = re.compile(rf"https://(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]{{2,45}}\]){_REST}", re.ASCII)
_LOOPBACK = re.compile(rf"http://(?:127\.0\.0\.1|localhost|\[::1\]){_REST}", re.ASCII)
_LAST_PORT = 65535
_CAUSES: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "no connection: the host's name is not known"),
    (ssl.SSLCertVerificationError, "no connection: the host's certificate does not hold"),
    (ssl.SSLError, "no connection: no TLS with the host"),
    (ConnectionRefusedError, "no connection: it was refused"),
)
"""From the special to the general."""


@dataclass(frozen=True, slots=True)
class Wire:
    """Time and the network, so that tests need neither. ``transport`` replaces the network when given."""

    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = lambda: datetime.now(tz=UTC)
    timeout_s: float = TIMEOUT_S
    transport: httpx.BaseTransport | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a POST goes.

    Attributes:
        name: The place's name in the policy: all that errors say of it.
        address: A secret.
        shows_code: Answers hold nothing but a code, as Slack's do; it is shown. Never the body of another's answer.
        hint: What else might mend a refusal, or "".
    """

    name: str
    address: str = field(repr=False)
    shows_code: bool = False
    hint: str = ""


class _PassingError(Exception):
    def __init__(self, found: str, after: float | None = None, *, may_wait: bool = False) -> None:
        super().__init__(found)
        self.found, self.after, self.may_wait = found, after, may_wait


def checked_address(name: str, text: str) -> str:
    """Give an address that messages may be sent to.

    Raises:
        NotifyError: It is not https, nor http on this machine. It is not repeated.
    """
    text = text.strip()
    if len(text) <= _MAX_ADDRESS_CHARS and (_HTTPS.fullmatch(text) or _LOOPBACK.fullmatch(text)) and _is_url(text):
        return text
    raise NotifyError(
        "the address of a notification cannot be used",
        name,
        expected="one https address without user and password (http on this machine only)",
        found="something else (not shown)",
        remedy="set the variable or file that `notify` names to the whole address",
    )


def _is_url(text: str) -> bool:
    """Ask the HTTP library, so that it finds nothing more to refuse when a message is sent."""
    import httpx  # noqa: PLC0415 - only who tells somebody pays for it

    try:
        url = httpx.URL(text)
        host = url.host
    except (httpx.InvalidURL, ValueError):  # ValueError: a name that IDNA refuses
        return False
    return bool(host) and (url.port or 0) <= _LAST_PORT


def post(place: Place, body: bytes, headers: Callable[[], Mapping[str, str]], wire: Wire) -> None:
    """Send ``body`` as JSON; once more when the place is busy or broken and asks for no more than a few seconds.

    Args:
        place: Where to.
        body: JSON in UTF-8.
        headers: Gives further headers of one attempt; a signature holds its time.
        wire: Time and network.

    Raises:
        NotifyError: It did not get through.
    """
    for is_last in (False, True):
        try:
            _attempt(place, body, headers(), wire)
        except _PassingError as error:
            wait = _WAIT_S if error.after is None else error.after
            if is_last or not error.may_wait or wait > LONGEST_WAIT_S:
                raise _unreached(place, error.found) from error
            wire.sleep(wait)
        else:
            return


def _attempt(place: Place, body: bytes, headers: Mapping[str, str], wire: Wire) -> None:
    import httpx  # noqa: PLC0415 - likewise

    all_headers = {"Content-Type": "application/json", "User-Agent": "otagate", "Accept-Encoding": "identity", **headers}
    watch, too_late = Watch(wire.timeout_s), f"no answer within {wire.timeout_s:g}s"
    try:
        with (
            watch.running(),
            open_client(timeout=wire.timeout_s, follow_redirects=False, transport=wire.transport) as client,
            client.stream(
                "POST", place.address, content=body, headers=all_headers, extensions={"trace": watch.trace}
            ) as response,
        ):
            code = _code(response) if place.shows_code and not response.is_success else ""
    except UsageError as error:
        raise NotifyError(error.what, place.name, error.expected, f"{error.subject}: {error.found}", error.remedy) from error
    except httpx.TimeoutException as error:
        raise _PassingError(too_late) from error
    except httpx.HTTPError as error:
        # The library's own words may hold the address.
        raise _PassingError(too_late if watch.has_ended else _why(error)) from error
    _judge(place, response, code)


def _why(error: BaseException) -> str:
    """Say what is wrong with a connection in words of our own: those of the libraries may hold the address."""
    cause: BaseException | None = error
    while cause is not None:
        for kind, words in _CAUSES:
            if isinstance(cause, kind):
                return words
        cause = cause.__cause__ or cause.__context__
    return f"no connection ({type(error).__name__})"


def _judge(place: Place, response: httpx.Response, code: str) -> None:
    if response.is_success:
        return
    found = f"HTTP {response.status_code}" + (f" {code}" if code else "")
    if response.status_code in _PASSING:
        raise _PassingError(found, retry_after(response.headers.get("Retry-After")), may_wait=True)
    if response.is_redirect:
        raise _refused(place, f"{found}, a redirect; none is followed")
    raise _refused(place, found)


def _code(response: httpx.Response) -> str:
    body = b""
    for piece in response.iter_raw(_MAX_CODE_BYTES):
        body += piece
        if len(body) > _MAX_CODE_BYTES:
            return ""
    text = body.decode("ascii", errors="replace").strip()
    return text if _CODE.fullmatch(text) else ""


def _unreached(place: Place, found: str) -> NotifyError:
    remedy = "nothing now: it is sent again at the next reconcile; `otagate notify test` shows whether it works again"
    return NotifyError("a place could not be told", place.name, found=found, remedy=remedy, retryable=True)


def _refused(place: Place, found: str) -> NotifyError:
    remedy = "check the address that `notify` of the policy refers to" + (f"; {place.hint}" if place.hint else "")
    return NotifyError(
        "a place refuses what it is told", place.name, expected="an answer with status 200 to 299", found=found, remedy=remedy
    )
