"""The one HTTP client to Google: who we are, how long an answer may take, and nothing repeated behind our back."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

import httpx

from otagate.identity.interface import Bearer
from otagate.store.gcs_errors import answered, failure
from otagate.store.objects import TransientError

TIMEOUT = httpx.Timeout(60.0, connect=10.0)
"""Seconds between two pieces of an answer, and to connect."""
_CONNECTIONS = 64
_PIECE_BYTES = 1024 * 1024


class Wire:
    """An HTTP client with the token of one identity. Safe to use from several threads."""

    def __init__(self, get: Callable[[], Bearer] | None) -> None:
        """Make a client; ``get`` gives the token for each request, None sends none."""
        self._get = get
        self._client = httpx.Client(
            timeout=TIMEOUT,
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
        token = {"Authorization": f"Bearer {self._get().token}"} if self._get else {}
        with answered():
            length = {"Content-Length": str(len(data))} if data else {}
            request = self._client.build_request(
                method, url, content=_sliced(data) if data else None, headers={**(headers or {}), **length, **token}
            )
            response = self._client.send(request, stream=stream)
        if response.is_success or response.status_code in accept:
            return response
        with answered():
            try:
                response.read()
            finally:
                response.close()
        raise failure(response, permission, of_object=of_object)


def _sliced(data: bytes) -> Iterator[bytes]:
    """Give a body in slices. A generator lets go of the body when it ends; httpx itself keeps one in a cycle of references."""
    for at in range(0, len(data), _PIECE_BYTES):
        yield data[at : at + _PIECE_BYTES]


def pieces(response: httpx.Response) -> Iterator[bytes]:
    """Give a body piece by piece, each of at most 1 MiB; one that ends before its announced length is no answer."""
    parts = response.iter_raw(_PIECE_BYTES)
    while True:
        with answered():
            piece = next(parts, None)
        if piece is None:
            return
        yield piece


def table(response: httpx.Response) -> dict[str, Any]:
    """Give the JSON object that an answer holds.

    Raises:
        TransientError: It holds none: something between us and Google answered, or cut the answer.
    """
    try:
        found = json.loads(response.content) if response.status_code != HTTPStatus.NO_CONTENT else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise TransientError("the answer is no JSON object")
    return found
