"""Signature version 4 of AWS, for requests whose whole body is at hand.

**Source:** AWS, "Create a signed AWS API request" (IAM user guide). No library is needed for it, so that reading
CloudWatch or a managed Prometheus asks for no extra.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

from otagate.identity.interface import AwsKeys

_ALGORITHM = "AWS4-HMAC-SHA256"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Scope:
    """What a signature is good for."""

    region: str
    service: str
    """Such as ``monitoring`` (CloudWatch) or ``aps`` (managed Prometheus)."""


def signed(
    method: str, url: str, body: bytes, headers: Iterable[tuple[str, str]], *, scope: Scope, keys: AwsKeys, now: datetime
) -> tuple[tuple[str, str], ...]:
    """Give the headers of a signed request: those given, and ``X-Amz-Date``, ``Authorization`` and perhaps a session's token.

    Args:
        method: In capitals.
        url: Absolute, percent-encoded as it is sent.
        body: As it is sent.
        headers: To be signed too; others may be sent beside them.
        scope: Region and service.
        keys: Who signs.
        now: Aware; the service refuses what is more than five minutes off its own clock.
    """
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    session = [("X-Amz-Security-Token", keys.session_token)] if keys.session_token else []
    sent = [*headers, ("X-Amz-Date", stamp), *session]
    lines = sorted((name.lower(), " ".join(value.split())) for name, value in [*sent, ("host", _host(url))])
    names = ";".join(name for name, _ in lines)
    told = "".join(f"{name}:{value}\n" for name, value in lines)
    request = "\n".join([method, _path(url), _query(url), told, names, hashlib.sha256(body).hexdigest()])
    place = f"{stamp[:8]}/{scope.region}/{scope.service}/aws4_request"
    text = "\n".join([_ALGORITHM, stamp, place, hashlib.sha256(request.encode()).hexdigest()])
    signature = _digest(_key(keys.secret_access_key, place), text).hex()
    value = f"{_ALGORITHM} Credential={keys.access_key_id}/{place}, SignedHeaders={names}, Signature={signature}"
    return (*sent, ("Authorization", value))


def _host(url: str) -> str:
    parts = urlsplit(url)
    host = (parts.netloc.rpartition("@")[2]).lower()
    return host.removesuffix(f":{_PORTS.get(parts.scheme, 0)}")


def _path(url: str) -> str:
    # All services but S3 encode the path that is sent once more.
    return quote(urlsplit(url).path or "/", safe="/-_.~")


def _query(url: str) -> str:
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    encoded = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _key(secret: str, place: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in place.split("/"):
        key = _digest(key, part)
    return key


def _digest(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
