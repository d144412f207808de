"""Request line and headers of one request: what has a meaning in front of every handler."""

from __future__ import annotations

from otagate.server.transport import limits as say
from otagate.server.transport.limits import Refusal

_LINE = 4
"""Bytes of a header line besides name and value: colon, space, line end."""
_VERSIONS = frozenset({"1.1", "1.0"})
FORWARDED = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto", b"x-real-ip"}
)
"""What only a trusted proxy may say."""
WATCHED = FORWARDED | {
    b"content-encoding",
    b"content-length",
    b"expect",
    b"host",
    b"transfer-encoding",
    b"upgrade",
}
"""Headers to show to :meth:`Head.watch`, in lower case."""


class Head:
    """What the headers of one request say.

    Attributes:
        refusal: Why it is refused, or None.
        expects: The client waits for ``100 Continue`` before it sends the body.
        forwarded: Values of ``X-Forwarded-For`` from a trusted proxy, in order.
        scheme: ``http`` or ``https`` as a trusted proxy said, or None.
    """

    __slots__ = ("_hosts", "_is_proxy", "_length", "expects", "forwarded", "refusal", "scheme")

    def __init__(self, *, is_proxy: bool) -> None:
        self._length = 0
        self._is_proxy = is_proxy
        self._hosts = 0
        self.refusal: Refusal | None = None
        self.expects = False
        self.forwarded: list[bytes] = []
        self.scheme: str | None = None

    def watch(self, name: bytes, value: bytes) -> bool:
        """Look at a header in :data:`WATCHED`; tell whether a handler may see it."""
        if name == b"host":
            self._hosts += 1
        elif name == b"content-length":
            # The parser has seen to it that it is one number, and no transfer coding beside it.
            self._length = int(value)
        elif name == b"transfer-encoding":
            self._refuse_if(value.lower() != b"chunked", say.TRANSFER_REFUSED)
        elif name == b"content-encoding":
            self._refuse_if(value.lower() != b"identity", say.ENCODING_REFUSED)
        elif name == b"expect":
            self.expects = value.lower() == b"100-continue"
            self._refuse_if(not self.expects, say.EXPECTATION_FAILED)
        elif name == b"upgrade":
            self._refuse_if(True, say.UPGRADE_REFUSED)
        else:
            self._hear_proxy(name, value)
            return self._is_proxy
        return True

    def vet(self, version: str, method: bytes, url: bytes, headers: int, limits: say.Limits) -> Refusal | None:
        """Judge the whole: ``headers`` lines of a ``method`` request of HTTP ``version`` for ``url``."""
        if version not in _VERSIONS:
            return say.VERSION_REFUSED
        if method == b"CONNECT":
            return say.METHOD_REFUSED
        # RFC 9112, 3.2: exactly one Host.
        if self._hosts > 1 or (version == "1.1" and not self._hosts):
            return say.BAD_REQUEST
        self._refuse_if(self._length > limits.body_of(url), say.PAYLOAD_TOO_LARGE)
        return say.HEADERS_TOO_LARGE if headers > limits.headers else self.refusal

    def _hear_proxy(self, name: bytes, value: bytes) -> None:
        if not self._is_proxy:
            return
        if name == b"x-forwarded-for":
            self.forwarded.append(value)
        elif name == b"x-forwarded-proto" and value.strip().lower() in {b"http", b"https"}:
            self.scheme = value.strip().lower().decode()

    def _refuse_if(self, is_wrong: bool, refusal: Refusal) -> None:
        if is_wrong and self.refusal is None:
            self.refusal = refusal


def size(url: bytes, headers: list[tuple[bytes, bytes]]) -> int:
    """Give the bytes of a head, without method and version."""
    return len(url) + sum(len(name) + len(value) + _LINE for name, value in headers)
