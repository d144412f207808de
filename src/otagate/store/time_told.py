"""What time a service says it is: the ``Date`` of its answer to a request that needs no permission.

Every answer of a server that has a clock carries it, also a refusal. **Source:** RFC 9110, section 6.6.1. The libraries that
speak to the stores do not show it, so it is asked for apart, once: HEAD of the bucket's address, unsigned.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from otagate._client import open_client
from otagate.errors import UsageError

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 5.0
"""Of connecting, and of waiting for the answer: nothing is kept waiting long for the time."""


def time_at(url: str, transport: httpx.BaseTransport | None = None) -> datetime | None:
    """Ask a service for the time, to the second.

    Args:
        url: Any address there.
        transport: Replaces the network.

    Returns:
        The instant, UTC; None without an answer, or with one that does not tell: of a cache, or of a server in trouble.
    """
    import httpx  # noqa: PLC0415 - only who asks over HTTP pays for it

    # This machine: a proxy of the environment would answer with its own time.
    trust_env = not _is_here(url)
    try:
        with open_client(timeout=TIMEOUT_S, trust_env=trust_env, follow_redirects=False, transport=transport) as client:
            answer = client.head(url, headers={"User-Agent": "otagate", "Cache-Control": "no-cache"})
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, UsageError):
        return None
    # An aged answer tells when it was made; a gateway's is that of the gateway.
    if answer.headers.get("Age", "0").strip() not in {"", "0"} or answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return None
    return _instant(answer.headers.get("Date", ""))


def _instant(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
