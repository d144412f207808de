"""Virtual devices over real HTTP: one pool of connections for the whole fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otagate.fleet.interface import NoAnswerError, Response

if TYPE_CHECKING:
    import ssl

    import httpx

MAX_ANSWER_BYTES = 1024 * 1024
MAX_BUNDLE_BYTES = 1024 * 1024 * 1024
_QUERY = frozenset({"GET", "DELETE"})


class HttpTransport:
    """A Transport over httpx. Safe to use from several threads; close it at the end.

    Args:
        connections: How many connections at most.
        timeout_s: For connecting and between any two pieces of an answer.
        verify: Certificates: a context, or False for none of a test server.
        transport: For tests.
    """

    def __init__(
        self,
        *,
        connections: int = 64,
        timeout_s: float = 20.0,
        verify: ssl.SSLContext | bool = True,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        import httpx  # noqa: PLC0415 - heavy

        self._errors = (httpx.HTTPError, httpx.InvalidURL)
        self._client = httpx.Client(
            timeout=timeout_s,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            follow_redirects=True,
            verify=verify,
            trust_env=False,
            transport=transport,
        )

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def request(self, method: str, url: str, body: Any = None, *, at: float) -> Response:
        """See Transport; ``at`` is not told to anybody: the server has a clock of its own.

        Raises:
            NoAnswerError: Nothing usable came back.
        """
        if method in _QUERY:
            return self._send(method, url, MAX_ANSWER_BYTES, is_json=True, params=_query(body))
        return self._send(method, url, MAX_ANSWER_BYTES, is_json=True, json=body)

    def download(self, url: str, start: int = 0, *, at: float) -> Response:
        """See Transport.

        Raises:
            NoAnswerError: Nothing usable came back.
        """
        headers = {"range": f"bytes={start}-"} if start else {}
        return self._send("GET", url, MAX_BUNDLE_BYTES, is_json=False, headers=headers)

    def _send(self, method: str, url: str, limit: int, *, is_json: bool, **more: Any) -> Response:
        try:
            with self._client.stream(method, url, **more) as answer:
                pieces, size = [], 0
                for piece in answer.iter_bytes():
                    size += len(piece)
                    if size > limit:
                        raise NoAnswerError
                    pieces.append(piece)
                body = b"".join(pieces)
                return Response(answer.status_code, _json(body) if is_json else body, dict(answer.headers))
        except self._errors as error:
            raise NoAnswerError from error


def _json(body: bytes) -> Any:
    import json  # noqa: PLC0415 - with httpx

    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        return None


def _query(body: Any) -> dict[str, str]:
    """Write an object as query parameters: truth as Swift and Kotlin write it."""
    if not isinstance(body, dict):
        return {}
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in body.items()}
