"""A request, as handlers see it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from otagate.server.http.answer import BAD_HOST
from otagate.server.http.body import Receive

_HOST = re.compile(
    r"(?:(?!-)[A-Za-z0-9_-]{1,63}(?:\.(?!-)[A-Za-z0-9_-]{1,63}){0,126}\.?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?", re.ASCII
)
"""**Source:** RFC 3986, section 3.2.2 (names as they resolve, and IPv6 in brackets)."""
_MAX_HOST = 260
_HOSTS_KEPT = 1024
_hosts: dict[bytes, str] = {}


class Request:
    """One request. Made for each, so it does no work before it is asked."""

    __slots__ = (
        "content_encoding",
        "content_length",
        "content_type",
        "headers",
        "host",
        "method",
        "path",
        "peer",
        "receive",
        "scope",
    )

    def __init__(self, scope: Mapping[str, Any], receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        client = scope.get("client")
        self.peer: str = client[0] if client else ""
        self.content_length: bytes | None = None
        self.content_type: bytes | None = None
        self.content_encoding: bytes | None = None
        self.host: bytes | None = None
        self.headers: list[tuple[bytes, bytes]] = scope["headers"]
        for name, value in self.headers:
            if name == b"host":
                self.host = value
            elif name == b"content-type":
                self.content_type = value
            elif name == b"content-length":
                self.content_length = value
            elif name == b"content-encoding":
                self.content_encoding = value

    @property
    def query(self) -> bytes:
        """The query, as it came."""
        return bytes(self.scope.get("query_string", b""))

    def header(self, name: bytes) -> bytes | None:
        """Give a header by its lower-case name; of a repeated one the last."""
        found = None
        for key, value in self.headers:
            if key == name:
                found = value
        return found

    def base(self) -> str:
        """Give the address that the client asked, such as ``https://updates.example.com``: scheme and host, nothing more.

        The transport lets ``X-Forwarded-Host`` through from trusted proxies only, and takes their word for the scheme.

        Raises:
            Refused: 400: the Host header is no host.
        """
        host = self.host
        if "traffic" in self.scope.get("state", ()):
            forwarded = self.header(b"x-forwarded-host")
            host = host if forwarded is None else forwarded.rpartition(b",")[2].strip()
        if host is None:
            server = self.scope.get("server") or ("localhost", None)
            host = (server[0] if server[1] is None else f"{server[0]}:{server[1]}").encode()
        text = _hosts.get(host)
        if text is None:
            text = _checked(host)
        return f"{self.scope['scheme']}://{text}"


def _checked(host: bytes) -> str:
    try:
        text = host.decode("ascii")
    except UnicodeDecodeError:
        raise BAD_HOST.refusal() from None
    if len(text) > _MAX_HOST or not _HOST.fullmatch(text):
        raise BAD_HOST.refusal()
    if len(_hosts) >= _HOSTS_KEPT:
        _hosts.clear()
    _hosts[host] = text
    return text
