"""The one HTTP client to Google: who we are, how long an answer may take, and nothing repeated behind our back."""

from __future__ import annotations

import contextlib
import json
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from otagate._client import open_client
from otagate.identity.interface import Bearer
from otagate.store.gcs_errors import answered, failure
from otagate.store.objects import TransientError

TIMEOUT = httpx.Timeout(60.0, connect=10.0)
"""Seconds between two pieces of an answer, and to connect."""
_CONNECTIONS = 64
_PIECE_BYTES = 1024 * 1024
_MOST_BYTES = 16 * 1024 * 1024
"""Of an answer that is not an object: a page of a listing has some hundred kilobytes."""
ANSWER_S = 60.0
"""Seconds that such an answer may take, from its first byte; a document likewise."""
STREAM_S = 6 * 3600.0
"""Seconds that an object may take."""


class Wire:
    """An HTTP client with the token of one identity. Safe to use from several threads."""

    def __init__(
        self,
        get: Callable[[], Bearer] | None,
        *,
        is_plain: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a client.

        Args:
            get: Gives the token for each request; None sends none.
            is_plain: The service is on this machine, without TLS: a proxy of the environment would see the token.
            monotonic: A clock in seconds.
        """
        self._get, self._monotonic = get, monotonic
        self._client = open_client(
            timeout=TIMEOUT,
            trust_env=not is_plain,
            limits=httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
            # identity: what is stored compressed would otherwise come unpacked, and its length would say nothing.
            headers={"User-Agent": "otagate", "Accept-Encoding": "identity"},
        )
        # Stores are not closed by hand: their connections end with the last who uses them.
        weakref.finalize(self, self._client.close)

    def request(
        self,
        method: str,
        url: str,
        permission: str,
        *,
        of_object: bool,
        accept: tuple[int, ...] = (),
        data: bytes = b"",
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
    ) -> httpx.Response:
        """Carry out one request; see :func:`failure` for ``permission`` and ``of_object``.

        Args:
            method: GET, POST, PUT or DELETE.
            url: The whole address.
            permission: What it needs.
            of_object: What 404 means.
            accept: Further statuses that are no failure.
            data: The body to send.
            headers: Further headers.
            stream: Whether the body is read later, by the caller, who then must close the answer.

        Raises:
            ObjectError: It was not done.
        """
        # The token is asked for anew each time: the identity knows when it runs out.
        token = self._get().token if self._get else ""
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        with answered():
            length = {"Content-Length": str(len(data))} if data else {}
            request = self._client.build_request(
                method, url, content=_sliced(data) if data else None, headers={**(headers or {}), **length, **bearer}
            )
            response = self._client.send(request, stream=True)
        is_fine = response.is_success or response.status_code in accept
        if not (is_fine and stream):
            response = self._whole(response)
        if is_fine:
            return response
        # The address of an upload is as good as a key.
        upload = parse_qs(urlsplit(url).query).get("upload_id", [])
        raise failure(response, permission, of_object=of_object, secrets=[text for text in (token, *upload) if text])

    def _whole(self, response: httpx.Response) -> httpx.Response:
        """Read an answer to its end, which must come soon, and give it with its body."""
        body = bytearray()
        with contextlib.closing(response):
            for piece in self.pieces(response, ANSWER_S):
                body += piece
                if len(body) > _MOST_BYTES:
                    raise TransientError("an answer that is too large, or does not end")
        # Encodings are of the body as it came, which was not asked for in any.
        headers = [(name, text) for name, text in response.headers.multi_items() if not name.endswith("-encoding")]
        return httpx.Response(response.status_code, headers=headers, content=bytes(body))

    def pieces(self, response: httpx.Response, within: float = STREAM_S) -> Iterator[bytes]:
        """Give a body piece by piece, each of at most 1 MiB; one that ends before its announced length is no answer.

        Raises:
            TransientError: It broke off, or did not end ``within`` so many seconds: a service that drips never runs into the
                limit of a single piece.
        """
        until, parts = self._monotonic() + within, response.iter_raw()
        while True:
            with answered():
                piece = next(parts, None)
            if piece is None:
                return
            if self._monotonic() > until:
                raise TransientError(f"an answer that does not end within {within:g}s")
            yield from (piece[at : at + _PIECE_BYTES] for at in range(0, len(piece), _PIECE_BYTES))


def _sliced(data: bytes) -> Iterator[bytes]:
    """Give a body in slices. A generator lets go of the body when it ends; httpx itself keeps one in a cycle of references."""
    for at in range(0, len(data), _PIECE_BYTES):
        yield data[at : at + _PIECE_BYTES]


def table(response: httpx.Response) -> dict[str, Any]:
    """Give the JSON object that an answer holds.

    Raises:
        TransientError: It holds none: something between us and Google answered, or cut the answer.
    """
    try:
        found = json.loads(response.content) if response.status_code != HTTPStatus.NO_CONTENT else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise TransientError("the answer is no JSON object")
    return found
